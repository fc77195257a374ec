"""panless app: applications and their keys."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from proxy.cli.running import config_option, opened, run
from proxy.config import load
from vault.upkeep import apps as applications
from vault.upkeep.apps import AppRow

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


@click.group()
def app() -> None:
    """Applications that may use outbound routes, and their keys."""


@app.command(short_help="Give an application a key and print it.")
@click.argument("name")
@config_option
@click.option("--tenant", default="default", show_default=True, help="Whose tokens the application may use.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def add(name: str, config_file: Path, tenant: str, as_json: bool) -> None:
    """Give application NAME a key and print it: once, it cannot be shown again.

    An application that exists gets a further key. Name it in a route's `apps`, too.
    """
    if not NAME.fullmatch(name):
        raise click.BadParameter("a name is made of letters, digits, dots, dashes and underscores", param_hint="NAME")
    key = run(_add(config_file, name, tenant))
    if not any(name in route.apps for route in load(config_file).outbound):
        click.echo(f"No outbound route of {config_file} names {name} in its `apps` yet.", err=True)
    if as_json:
        click.echo(json.dumps({"app": name, "key": key}))
        return
    click.echo(key)
    click.echo(
        "Keep it now: only its digest is stored. The application sends it as Panless-Key, or where the", err=True
    )
    click.echo("gateway's SDK puts the gateway's key.", err=True)


async def _add(config_file: Path, name: str, tenant: str) -> str:
    async with opened(config_file) as database:
        return await applications.add_app(database, name, tenant)


@app.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_(config_file: Path, as_json: bool) -> None:
    """Show all applications."""
    rows = run(_list(config_file))
    if as_json:
        documents = [
            {
                "app": row.name,
                "tenant": row.tenant,
                "created_at": row.created_at.isoformat(),
                "active_keys": row.active_keys,
                "revoked_keys": row.revoked_keys,
            }
            for row in rows
        ]
        click.echo(json.dumps(documents, indent=2))
        return
    table = Table()
    for column in ("application", "tenant", "since", "active keys", "revoked keys"):
        table.add_column(column)
    for row in rows:
        since = f"{row.created_at:%Y-%m-%d %H:%M}"
        table.add_row(row.name, row.tenant, since, str(row.active_keys), str(row.revoked_keys))
    Console().print(table)


async def _list(config_file: Path) -> list[AppRow]:
    async with opened(config_file) as database:
        return await applications.apps(database)


@app.command(short_help="Revoke all keys of an application.")
@click.argument("name")
@config_option
def revoke(name: str, config_file: Path) -> None:
    """Revoke all keys of application NAME. Requests with them are refused from then on."""
    revoked = run(_revoke(config_file, name))
    click.echo(f"{revoked} {'key' if revoked == 1 else 'keys'} of {name} revoked.")


async def _revoke(config_file: Path, name: str) -> int:
    async with opened(config_file) as database:
        return await applications.revoke_app(database, name)
