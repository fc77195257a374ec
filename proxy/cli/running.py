"""How commands run: options they share, and an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from proxy.config import load
from proxy.settings import vault_settings
from vault.upkeep.migrate import check_schema, migrate
from vault.upkeep.startup import Database, open_database

FAILED = 1
WRONG_USE = 2

Result = TypeVar("Result")
Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """Add --config, required."""
    option = click.option(
        "--config",
        "-c",
        "config_file",
        required=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The TOML configuration.",
    )
    return option(command)


dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  # optional
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


@asynccontextmanager
async def opened(file: Path) -> AsyncIterator[Database]:
    """The database of a configuration, migrated: joined if Panless runs on it, else started for the command."""
    settings = vault_settings(load(file))
    database = await open_database(settings, holder="command")
    try:
        if settings.embedded:
            await migrate(database)
        await check_schema(database)
        yield database
    finally:
        await database.close()


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr; tell it (done, total)."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
