"""panless serve, check, migrate."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from proxy.app import Panless
from proxy.cli.running import config_option, run
from proxy.cli.workers import serve_with_workers, told
from proxy.config import Config, load, load_text, read
from proxy.config.models import MOST_WORKERS
from proxy.edge import log
from proxy.fetching import fetched_settings
from vault.upkeep import migrate as migrations
from vault.upkeep.startup import open_database

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@click.command()
@config_option
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    metavar="N",
    help="Processes that share the ports; goes before `workers` of the configuration. [default: 1]",
)
@click.option("--log-level", default="INFO", show_default=True, type=click.Choice(LEVELS), help="What to log.")
@click.pass_context
def serve(context: click.Context, config_file: Path, workers: int | None, log_level: str) -> None:
    """Run Panless until SIGTERM or Ctrl-C.

    Prints one line when every listener accepts: `ready inbound=URL outbound=URL forward=URL admin=URL`, with
    ROUTE=URL for each route that has a port of its own. Logs go to stderr as JSON lines. An embedded database is
    migrated by itself; an external one has to be migrated before (`panless migrate`). SIGHUP lets it read configuration
    and secrets again: what is wrong changes nothing, and requests under way end as they began.

    With --workers 2 or more a supervisor starts so many processes, one for each core, say; it starts one that dies
    again, and the signals above are for the supervisor. docs/workers.md has what workers share and what they do not.
    """
    log.configure(log_level)
    text = read(config_file)
    config = load_text(text, config_file)
    count = workers or config.workers
    if count > 1:
        context.exit(serve_with_workers(config.file, text, count, told))
    run(_serve(config))


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
        told(panless.urls)
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
