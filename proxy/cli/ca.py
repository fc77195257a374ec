"""panless ca: the certificate authority of the forward proxy."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.table import Table

from proxy.cli.running import config_option, dry_run_option, json_option, opened, run
from proxy.cli.shares import open_sealed
from proxy.config import load
from proxy.fetching import fetched_settings
from vault.errors import VaultSealed
from vault.upkeep.authorities import StoredAuthority, activate, authorities, make_next, trusted
from vault.upkeep.startup import Database, Keks, ensure_development_kek, open_keks

ROTATE_BEFORE = timedelta(days=180)

Result = TypeVar("Result")


@click.group()
def ca() -> None:
    """The certificate authority of the forward proxy, which applications have to trust.

    It is made when it is first asked for; its private key is wrapped by the KEK and never leaves the database in clear.
    """


@ca.command()
@config_option
@json_option
def show(config_file: Path, as_json: bool) -> None:
    """Show the authorities, and what to do next."""
    found = run(_with_database(config_file, authorities))
    if as_json:
        click.echo(json.dumps([_document(each, found) for each in found], indent=2))
        return
    table = Table(show_lines=True)
    table.add_column("id, state, valid until", no_wrap=True)
    table.add_column("fingerprint (SHA-256), what to do next", overflow="fold")
    for each in found:
        about = f"{each.id}\n{each.state}\n{each.not_after:%Y-%m-%d}"
        table.add_row(about, f"{each.fingerprint}\n{_next_step(each, found)}")
    Console().print(table)


@ca.command(short_help="Print the certificates that applications have to trust.")
@config_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file instead.")
@json_option
def export(config_file: Path, out: Path | None, as_json: bool) -> None:
    """Print the active authority's certificate, and the next one's, as one PEM bundle.

    Certificates are checked against the KEK before they are shown: one that was put into the database by somebody else
    is refused.
    """
    found = run(_with_database(config_file, trusted))
    bundle = b"".join(each.pem for each in found).decode()
    if out is not None:
        _write(out, bundle)
    if as_json:
        click.echo(json.dumps([_document(each, found) | {"pem": each.pem.decode()} for each in found], indent=2))
    elif out is None:
        click.echo(bundle, nl=False)
    else:
        click.echo(f"{len(found)} {'certificate' if len(found) == 1 else 'certificates'} written to {out}.", err=True)


@ca.command(short_help="Make the next authority, or switch to it.")
@config_option
@click.option("--activate", "switch", is_flag=True, help="Let the next authority sign from now on.")
@dry_run_option
@json_option
def rotate(config_file: Path, switch: bool, dry_run: bool, as_json: bool) -> None:
    """Make the next authority; with --activate, let it take over.

    \b
    1. panless ca rotate             makes the next one; nothing changes for applications
    2. panless ca export             both: let every application trust both
    3. panless ca rotate --activate  running Panless processes follow within half a minute
    """
    if dry_run:
        click.echo("The next one would sign from now on." if switch else "The next authority would be made.")
        return
    if switch:
        activated = str(run(_with_database(config_file, activate)))
        told = f"Authority {activated} signs now; running processes follow within 30 seconds."
    else:
        activated = str(run(_with_database(config_file, make_next)).id)
        told = f"Authority {activated} is next. Let applications trust it (`panless ca export`) before you activate it."
    if as_json:
        click.echo(json.dumps({"id": activated, "state": "active" if switch else "pre-active"}))
    else:
        click.echo(told)


def _write(out: Path, bundle: str) -> None:
    try:
        out.write_text(bundle)
    except OSError:
        raise click.BadParameter("the file cannot be written", param_hint="--out") from None


async def _with_database(file: Path, work: Callable[[Keks, Database], Awaitable[Result]]) -> Result:
    settings = await fetched_settings(load(file))
    async with opened(file) as database:
        await ensure_development_kek(settings, database)
        async with open_keks(settings, database) as keks:
            try:
                return await work(keks, database)
            except VaultSealed:  # nothing was changed; now it is known that custodians are needed
                await open_sealed(keks)
                return await work(keks, database)


def _document(each: StoredAuthority, found: list[StoredAuthority]) -> dict[str, str]:
    return {
        "id": str(each.id),
        "state": each.state,
        "fingerprint": each.fingerprint,
        "created_at": each.created_at.isoformat(),
        "not_after": each.not_after.isoformat(),
        "next_step": _next_step(each, found),
    }


def _next_step(each: StoredAuthority, found: list[StoredAuthority]) -> str:
    if each.state == "deactivated":
        return "Signs no more. Applications need not trust it any longer."
    if each.state == "pre-active":
        return "Let applications trust it (panless ca export), then: panless ca rotate --activate."
    if any(other.state == "pre-active" for other in found):
        return "Signs until the next one is activated."
    if each.not_after - datetime.now(UTC) < ROTATE_BEFORE:
        return "Ends soon: panless ca rotate."
    return "Let applications trust it: panless ca export."
