"""panless key: publishable keys, which stand in the pages of shops. panless fields: what those pages load."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from proxy.cli.credentials import check_name
from proxy.cli.running import config_option, json_option, opened, run
from proxy.config import load
from proxy.fields.assets import assets
from proxy.hosts import origin
from vault.upkeep import publishable_keys as keys
from vault.upkeep.publishable_keys import PublishableKey

_SCRIPTS = ("panless.js", "panless.mjs")


def _origin(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return None if value is None else _origins(context, parameter, [value])[0]


def _origins(_context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> list[str]:
    try:
        return [origin(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


@click.group()
def key() -> None:
    """Publishable keys: they stand in the pages of shops, and let hosted fields take cards there."""


@key.command(short_help="Make a publishable key for the pages of some origins.")
@click.argument("name")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    required=True,
    callback=_origins,
    metavar="URL",
    help="Where the pages are: https://shop.example. Give it once for each.",
)
@click.option("--tenant", default="default", show_default=True, help="Whose tokens are made.")
@config_option
@json_option
def add(name: str, origins: list[str], tenant: str, config_file: Path, as_json: bool) -> None:
    """Make publishable key NAME and print it. It is no secret: it stands in the page, for anybody to read.

    With it, cards can be handed in on pages of these origins. It shows and reveals nothing.
    """
    check_name(name)
    made = run(_add(config_file, name, tenant, origins))
    if load(config_file).listen.fields is None:
        click.echo(f"{config_file} has no listener for hosted fields yet: [listen] fields.", err=True)
    click.echo(json.dumps({"name": name, "key": made, "origins": origins}) if as_json else made)


async def _add(config_file: Path, name: str, tenant: str, origins: Sequence[str]) -> str:
    async with opened(config_file) as database:
        return await keys.add_publishable_key(database, name, tenant, origins)


@key.command("list")
@config_option
@json_option
def list_(config_file: Path, as_json: bool) -> None:
    """Show all publishable keys, and the origins that each is for."""
    found = run(_list(config_file))
    if as_json:
        click.echo(json.dumps([_document(each) for each in found], indent=2))
        return
    table = Table("name", "tenant", "key and origins", "since", "state")
    for each in found:
        row = each.row
        state = "active" if row.revoked_at is None else f"revoked {row.revoked_at:%Y-%m-%d %H:%M}"
        since = f"{row.created_at:%Y-%m-%d %H:%M}"
        table.add_row(row.name, row.tenant, "\n".join((each.text, *row.origins)), since, state)
    Console().print(table)


def _document(each: PublishableKey) -> dict[str, object]:
    row = each.row
    return {
        "name": row.name,
        "tenant": row.tenant,
        "key": each.text,
        "origins": list(row.origins),
        "created_at": row.created_at.isoformat(),
        "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
    }


async def _list(config_file: Path) -> list[PublishableKey]:
    async with opened(config_file) as database:
        return await keys.publishable_keys(database)


@key.command(short_help="Revoke a publishable key.")
@click.argument("name")
@config_option
def revoke(name: str, config_file: Path) -> None:
    """Revoke publishable key NAME. Pages with it can take no card from then on; tokens that were made stay."""
    run(_revoke(config_file, name))
    click.echo(f"Key {name} is revoked.")


async def _revoke(config_file: Path, name: str) -> None:
    async with opened(config_file) as database:
        await keys.revoke_publishable_key(database, name)


@click.group("fields")
def fields() -> None:
    """Hosted fields: what the pages of shops load."""


@fields.command(short_help="Print the script's URL and integrity, to paste into a page.")
@click.option(
    "--url", callback=_origin, metavar="URL", help="How browsers reach the listener; else as [listen] fields says."
)
@config_option
@json_option
def sri(url: str | None, config_file: Path, as_json: bool) -> None:
    """Print the script elements for a page, with their integrity (Subresource Integrity, W3C).

    URL and integrity change with the version of Panless, and with nothing else: change both in the page together.
    """
    base = url or _base(config_file)
    served = assets()
    found = {
        name: {"url": f"{base}{served.prefix}/{name}", "integrity": served.served[name].integrity} for name in _SCRIPTS
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    script, module = found["panless.js"], found["panless.mjs"]
    click.echo("plain script:")
    click.echo(f'<script src="{script["url"]}" integrity="{script["integrity"]}" crossorigin="anonymous"></script>')
    click.echo("ES module, which its own script imports:")
    click.echo(
        f'<link rel="modulepreload" href="{module["url"]}" integrity="{module["integrity"]}" crossorigin="anonymous">'
    )
    click.echo(f'<script type="module">import Panless from "{module["url"]}"; ...</script>')


def _base(config_file: Path) -> str:
    """Return how browsers reach the listener; raises click.UsageError."""
    listener = load(config_file).listen.fields
    if listener is None:
        raise click.UsageError(f"{config_file} has no listener for hosted fields: add [listen] fields, or give --url.")
    if listener.url is not None:
        return listener.url
    if listener.port == 0:
        raise click.UsageError("The listener's port is not fixed: give --url, or `url` in [listen] fields.")
    return f"{'https' if listener.tls else 'http'}://{listener.bind}"
