"""panless limits: who has to wait, how much was revealed, and letting somebody go on."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from proxy.cli.running import config_option, json_option, opened, run
from vault.upkeep import stops
from vault.upkeep.stops import Brakes

_WINDOWS = {60: "minute", 3600: "hour", 86400: "day"}


@click.group()
def limits() -> None:
    """Velocity limits: [[velocity]] and [unusual] in the configuration, counted over all processes."""


@limits.command("list")
@config_option
@json_option
def list_(config_file: Path, as_json: bool) -> None:
    """Show who has to wait, and the highest counts of this minute, hour and day."""
    found = run(_look(config_file))
    if as_json:
        click.echo(json.dumps(_document(found), indent=2))
        return
    console = Console()
    waiting = Table(title="Waiting", title_justify="left")
    for column in ("who", "by rule", "since", "until"):
        waiting.add_column(column, overflow="fold")
    for stop in found.stops:
        until = _shown(stop.until) if stop.until else "panless limits resume"
        waiting.add_row(stop.subject, stop.rule, _shown(stop.since), until)
    console.print(waiting if found.stops else "Nobody has to wait.")
    counts = Table(title="Revealed", title_justify="left")
    for column in ("who", "by rule", "this", "tokens"):
        counts.add_column(column, overflow="fold")
    for total in found.totals:
        window = _WINDOWS.get(total.seconds, f"{total.seconds} s")
        counts.add_row(total.subject, total.rule, window, f"{total.count:,}")
    console.print(counts if found.totals else "Nothing was counted.")


@limits.command(short_help="Let somebody go on who was stopped.")
@click.argument("subject")
@config_option
def resume(subject: str, config_file: Path) -> None:
    """Let SUBJECT (app:NAME, route:NAME, token:ID, origin:ADDRESS, as `panless limits list` shows it) go on."""
    run(_release(config_file, subject))
    click.echo(f"{subject} may go on; running processes follow within a second.")


async def _look(config_file: Path) -> Brakes:
    async with opened(config_file) as database:
        return await stops.look(database)


async def _release(config_file: Path, subject: str) -> None:
    async with opened(config_file) as database:
        await stops.release(database, subject)


def _document(found: Brakes) -> dict[str, object]:
    waiting = [
        {
            "subject": stop.subject,
            "rule": stop.rule,
            "since": stop.since.isoformat(),
            "until": stop.until.isoformat() if stop.until else None,
        }
        for stop in found.stops
    ]
    counts = [
        {"subject": total.subject, "rule": total.rule, "seconds": total.seconds, "count": total.count}
        for total in found.totals
    ]
    return {"stops": waiting, "counts": counts}


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
