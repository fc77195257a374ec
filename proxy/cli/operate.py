"""panless serve, check, migrate."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from proxy.app import Panless, compile_outbound
from proxy.cli.running import config_option, forbid_core_dumps, run
from proxy.config import Config, OutboundConfig, RouteConfig, load
from proxy.edge import log
from proxy.edge.listener import tls_context
from proxy.settings import vault_settings
from proxy.upstream.client import upstream_tls
from vault.upkeep import migrate as migrations
from vault.upkeep.startup import open_database

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@click.command()
@config_option
@click.option("--log-level", default="INFO", show_default=True, type=click.Choice(LEVELS), help="What to log.")
def serve(config_file: Path, log_level: str) -> None:
    """Run Panless until SIGTERM or Ctrl-C.

    Prints one line when every listener accepts: `ready inbound=URL outbound=URL forward=URL admin=URL`, with
    ROUTE=URL for each route that has a port of its own. Logs go to stderr as JSON lines. An embedded database is
    migrated by itself; an external one has to be migrated before (`panless migrate`).
    """
    forbid_core_dumps()
    log.configure(log_level)
    run(_serve(load(config_file)))


async def _serve(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    panless = Panless(config)
    starting = asyncio.create_task(panless.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    try:
        starting.result()
        click.echo("ready " + " ".join(f"{name}={url}" for name, url in panless.urls.items()))
        await stopping
    finally:
        stopping.cancel()
        await panless.stop()


@click.command()
@config_option
def check(config_file: Path) -> None:
    """Check a configuration without starting anything, and show its routes.

    Everything that `serve` needs is looked at: keys, presets, selectors, overlapping routes, and that every secret is
    where it is said to be. Secrets are not shown.
    """
    config = load(config_file)
    vault_settings(config)
    compile_outbound(config)
    for listener, given in (*config.listen, *((route.name, route.listener) for route in config.outbound)):
        if given is not None:
            tls_context(listener, given, config)
    for route in (*config.inbound, *config.outbound):
        upstream_tls(route, config)
    table = Table(title=f"Routes of {config_file}", title_justify="left")
    for column in ("way", "name", "path, port, hosts", "upstream", "fields", "apps"):
        table.add_column(column, overflow="fold")
    for inbound in config.inbound:
        table.add_row("inbound", inbound.name, inbound.path, inbound.upstream, _fields(inbound), "")
    for outbound in config.outbound:
        apps = ", ".join(sorted(outbound.apps)) or "none: nobody may use it"
        table.add_row("outbound", outbound.name, _ways(outbound), outbound.upstream, _fields(outbound), apps)
    Console().print(table)
    for warning in _warnings(config):
        click.echo(f"warning: {warning}", err=True)
    click.echo("The configuration is right.")


def _warnings(config: Config) -> Iterator[str]:
    if not any(listener for _, listener in config.listen) and not any(route.bind for route in config.outbound):
        yield "no listener is configured: `serve` will refuse to start"
    for route in config.outbound:
        if not route.apps:
            yield f"outbound route {route.name} names no `apps`: nobody may use it"
        if not route.fields:
            yield f"outbound route {route.name} has no `fields`: tokens are not revealed on it"
        if route.credential is None or route.credential.secret is None:
            yield f"outbound route {route.name} has no `credential` secret: the gateway gets none from Panless"
        if route.hosts and config.listen.forward is None:
            yield f"outbound route {route.name} names `hosts`, but there is no forward listener"
    own = [(route.name, route.listener) for route in config.outbound]
    for name, listener in (*config.listen, *own):
        if name == "inbound":
            continue
        if listener is not None and listener.host in ("0.0.0.0", "::"):  # noqa: S104  # warned of, not bound
            yield f"listener {name} is open to every network: it is meant for your own applications and monitoring"


def _ways(route: OutboundConfig) -> str:
    return "\n".join(filter(None, (route.path, route.bind, *route.hosts)))


def _fields(route: RouteConfig) -> str:
    return "\n".join(f"{field.kind} {field.at}" for field in route.fields) or "none: passes unchanged"


@click.command()
@config_option
def migrate(config_file: Path) -> None:
    """Bring the database up to this release, as its owner.

    Connects with [database] owner_url, or with url where there is none. Each migration is one transaction; it is safe
    to run twice, and from two places at once.
    """
    run(_migrate(load(config_file)))


async def _migrate(config: Config) -> None:
    database = await open_database(vault_settings(config), holder="command")
    try:
        applied = await migrations.migrate(database, report=lambda name: click.echo(f"applying {name}"))
    finally:
        await database.close()
    click.echo(f"{len(applied)} migrations applied." if applied else "Nothing to do: the database is up to date.")
