"""panless audit: what happened, and whether the record of it is whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proxy.cli.export import archive, checkpoint, export, prove
from proxy.cli.running import config_option, opened, run
from proxy.cli.verification import verify
from vault.upkeep.history import Filter, history

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]


@click.group()
def audit() -> None:
    """The audit log: every tokenize, reveal and denial, each chained to the one before it."""


@audit.command("list")
@config_option
@click.option("--app", help="Only what this application did.")
@click.option("--token", help="Only what touched this token.")
@click.option("--route", help="Only what went over this route.")
@click.option("--outcome", type=click.Choice(["permitted", "denied", "failed"]), help="Only events that ended so.")
@click.option("--action", help="Only this action, for example reveal.")
@click.option("--request-id", help="Only this request.")
@click.option("--since", type=click.DateTime(TIMES), help="From this time on (UTC).")
@click.option("--until", type=click.DateTime(TIMES), help="Before this time (UTC).")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most this many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, with everything that is recorded.")
def list_(config_file: Path, as_json: bool, since: datetime | None, until: datetime | None, **filters: Any) -> None:
    """Show what happened, oldest first.

    \b
    Who revealed this card in March?
      panless audit list -c FILE --token tok_... --action reveal --since 2026-03-01 --until 2026-04-01
    """
    wanted = Filter(since=_utc(since), until=_utc(until), **filters)
    events = run(_list(config_file, wanted))
    if as_json:
        for event in events:
            click.echo(json.dumps(event))
        return
    if not events:
        click.echo("No events match.", err=True)
        return
    Console().print(events_table(events))
    if len(events) == wanted.limit:
        click.echo(f"These are the newest {wanted.limit}; --limit shows more.", err=True)


def events_table(events: list[dict[str, Any]]) -> Table:
    """Return the readable form of events: when and who, what and how it ended and where to, on which tokens."""
    table = Table(show_lines=True)
    table.add_column("time (UTC), who", min_width=19)
    table.add_column("what, outcome, route → destination", overflow="fold")
    table.add_column("tokens, request", no_wrap=True, style="dim")
    for event in events:
        who = event.get("operator") or event.get("app") or event.get("origin") or "panless"
        permitted = event["outcome"] == "permitted"
        outcome = f"[green]{event['outcome']}[/green]" if permitted else f"[red]{event['outcome']}[/red]"
        code = f" ({event['code']})" if "code" in event else ""
        way = f"\n{event['route']} → {event['destination']}" if event.get("route", "-") != "-" else ""
        why = f"\n{event['reason']}" if "reason" in event else ""
        if not permitted and "rule" in event:
            why += f"\nby {event['rule']}"
        table.add_row(
            f"{str(event['at'])[:19].replace('T', ' ')}\n{who}",
            f"{event['action']} {outcome}{code}{way}{escape(why)}",
            "\n".join(
                [*event.get("tokens", []), *([event["request_id"]] if event.get("request_id", "-") != "-" else [])]
            ),
        )
    return table


async def _list(config_file: Path, wanted: Filter) -> list[dict[str, object]]:
    async with opened(config_file) as database:
        return await history(database, wanted)


def _utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time else None


for command in (verify, export, prove, checkpoint, archive):
    audit.add_command(command)
