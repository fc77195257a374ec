"""What `panless app` and `panless operator` share: options, and how keys are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from vault.upkeep.credentials import Credential, CredentialRow, read_certificate

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_DURATION = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(_context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    """Read `90d`, `24h`, `15m` or `30s`."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value)
    if found is None:
        raise click.BadParameter("a duration is a number and s, m, h or d, such as 90d", param=parameter)
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


expires_option = click.option("--expires", callback=_duration, metavar="90d", help="The key ends after this time.")
grace_option = click.option(
    "--grace", callback=_duration, default="24h", show_default=True, metavar="24h", help="How long old keys still work."
)
key_option = click.option("--key", "key", metavar="ID", help="Only the key with this id.")
certificate_option = click.option(
    "--certificate",
    "certificate_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Register this client certificate (PEM) instead of making a key.",
)


def check_name(name: str) -> None:
    """Raise click.BadParameter unless it can be a name."""
    if not NAME.fullmatch(name):
        raise click.BadParameter("a name is made of letters, digits, dots, dashes and underscores", param_hint="NAME")


def certificate_in(file: Path | None) -> Credential | None:
    """Read a certificate; raises click.BadParameter."""
    if file is None:
        return None
    try:
        return read_certificate(file.read_bytes())
    except (OSError, ValueError):
        raise click.BadParameter("the file holds no certificate in PEM", param_hint="--certificate") from None


def tell_new(
    who: dict[str, str], key: str, certificate: Credential | None = None, *, as_json: bool, advice: Sequence[str]
) -> None:
    """Print a new key, once, or the certificate that was registered. `who`: whose it is, their name first."""
    if as_json:
        click.echo(
            json.dumps(who | ({"key": key} if certificate is None else {"certificate": certificate.digest.hex()}))
        )
    elif certificate is not None:
        click.echo(f"{next(iter(who.values()))} is known by certificate {certificate.digest.hex()}.")
    else:
        click.echo(key)
        for line in advice:
            click.echo(line, err=True)


def tell_revoked(name: str, revoked: int) -> None:
    click.echo(f"{revoked} {'key' if revoked == 1 else 'keys'} of {name} revoked.")


def show(columns: Sequence[str], holders: Iterable[tuple[Sequence[str], Sequence[CredentialRow]]]) -> None:
    """Print a table: whose, then of each key what there is to know."""
    shown = Table()
    for column in (*columns, "key", "kind", "state", "since", "expires", "last use"):
        shown.add_column(column, no_wrap=column == "key", overflow="fold", min_width=10 if column == "key" else None)
    for whose, keys in holders:
        for cells in [_cells(key) for key in keys] or [["-"] * 6]:
            shown.add_row(*whose, *cells)
    Console().print(shown)


def documents(keys: Sequence[CredentialRow]) -> list[dict[str, str | None]]:
    now = datetime.now(UTC)
    return [
        {
            "id": key.id,
            "kind": key.kind,
            "state": key.state(now),
            "created_at": key.created_at.isoformat(),
            "expires_at": key.expires_at.isoformat() if key.expires_at else None,
            "last_used_at": key.last_used_at.isoformat() if key.last_used_at else None,
        }
        for key in keys
    ]


def _cells(key: CredentialRow) -> list[str]:
    times = (key.created_at, key.expires_at, key.last_used_at)
    return [key.id, key.kind, key.state(datetime.now(UTC)), *(f"{at:%Y-%m-%d %H:%M}" if at else "-" for at in times)]
