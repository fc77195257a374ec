"""panless serve, check, migrate."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from proxy.app import Panless
from proxy.cli.running import config_option, run
from proxy.config import Config, load
from proxy.edge import log
from proxy.fetching import fetched_settings
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
    migrated by itself; an external one has to be migrated before (`panless migrate`). SIGHUP lets it read configuration
    and secrets again: what is wrong changes nothing, and requests under way end as they began.
    """
    log.configure(log_level)
    run(_serve(load(config_file)))


async def _serve(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    panless = Panless(config)
    loop.add_signal_handler(signal.SIGHUP, panless.reload)
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
def migrate(config_file: Path) -> None:
    """Bring the database up to this release, as its owner.

    Connects with [database] owner_url, or with url where there is none. Each migration is one transaction; it is safe
    to run twice, and from two places at once.
    """
    run(_migrate(load(config_file)))


async def _migrate(config: Config) -> None:
    database = await open_database(await fetched_settings(config), holder="command")
    try:
        applied = await migrations.migrate(database, report=lambda name: click.echo(f"applying {name}"))
    finally:
        await database.close()
    click.echo(f"{len(applied)} migrations applied." if applied else "Nothing to do: the database is up to date.")
