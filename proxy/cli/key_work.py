"""What commands on keys share: the vault's upkeep with a progress bar, and sentences on what happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from proxy.cli.running import opened, run
from proxy.cli.shares import open_sealed
from proxy.config import load
from proxy.fetching import fetched_settings
from vault.errors import VaultSealed
from vault.upkeep.keychain.work import Work, work
from vault.upkeep.startup import ensure_development_kek

Result = TypeVar("Result")


def on_keys(config_file: Path, label: str, job: Callable[[Work], Awaitable[Result]], *, quiet: bool = False) -> Result:
    """Run a job on the keys of a configuration; what happens is told on stderr."""
    return run(_on_keys(config_file, label, job, quiet=quiet))


async def _on_keys(config_file: Path, label: str, job: Callable[[Work], Awaitable[Result]], *, quiet: bool) -> Result:
    settings = await fetched_settings(load(config_file))
    console = Console(stderr=True, quiet=quiet)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    async with opened(config_file) as database:
        await ensure_development_kek(settings, database)
        with bar:
            task = bar.add_task(label, total=None)

            def progress(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            async with work(
                settings, database, report=partial(console.print, soft_wrap=True), progress=progress
            ) as opened_work:
                while True:
                    try:
                        return await job(opened_work)
                    except VaultSealed:  # what was done stays done: every job goes on where it was
                        bar.stop()
                        await open_sealed(opened_work.keks)
                        bar.start()
