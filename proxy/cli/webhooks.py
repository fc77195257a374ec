"""panless webhooks: events on their way to applications; what became of them, and sending them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import click

from proxy.cli.pairs import show_pairs
from proxy.cli.running import config_option, json_option, opened, run
from proxy.config import load
from proxy.state.webhook_events import PREFIX, WEBHOOK
from proxy.state.webhook_keeping import EventsNotFound, Listed, WebhookKeeping
from vault.tokens import read_type_id, type_id
from vault.upkeep.changes import operator_change, operator_look

STATES = ("pending", "delivered", "dead", "passing", "passed")
_MOST = 10_000
_DELIVER_FOR = timedelta(days=3)

route_option = click.option("--route", help="Only those of this route.")


@click.group()
def webhooks() -> None:
    """Events that applications get: webhooks of gateways, and what Panless itself has to tell. No payload is shown."""


@webhooks.command("list")
@config_option
@route_option
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, _MOST), help="At most so many.")
@json_option
def list_(config_file: Path, route: str | None, state: str | None, limit: int, *, as_json: bool) -> None:
    """Show events, the newest first."""
    _show(run(_look(config_file, route=route, state=state, limit=limit)), as_json=as_json)


@webhooks.command()
@click.argument("event")
@config_option
@json_option
def show(event: str, config_file: Path, *, as_json: bool) -> None:
    """Show one EVENT (whe_...)."""
    found = run(_look(config_file, event=_id(event)))
    if not found:
        raise EventsNotFound(what=event)
    if as_json:
        click.echo(json.dumps(_document(found[0]), indent=2))
        return
    for name, value in _document(found[0]).items():
        click.echo(f"{name:16} {'-' if value is None else value}")


@webhooks.command(short_help="Deliver events once more.")
@click.argument("events", nargs=-1)
@config_option
@route_option
@click.option("--state", type=click.Choice(("dead", "delivered")), help="All in this state; needs --route.")
@json_option
def replay(events: tuple[str, ...], config_file: Path, route: str | None, state: str | None, *, as_json: bool) -> None:
    """Deliver EVENTS (whe_...) once more, or all of a route that are dead: --route NAME --state dead.

    They are sent as they were, signed anew. The application knows them by their webhook-id, if it has had them.
    """
    if bool(events) == bool(state) or (state and not route):
        raise click.UsageError("give EVENTS, or --route and --state")
    done = run(_replay(config_file, [_id(each) for each in events], route, state))
    click.echo(json.dumps({"replayed": done}) if as_json else f"{done} to be delivered once more.")


async def _look(
    config_file: Path,
    *,
    route: str | None = None,
    state: str | None = None,
    event: UUID | None = None,
    limit: int = 1,
) -> list[Listed]:
    async with opened(config_file) as database, operator_look(database) as connection:
        return await WebhookKeeping(connection).look(route=route, state=state, event=event, limit=limit)


async def _replay(config_file: Path, events: Sequence[UUID], route: str | None, state: str | None) -> int:
    times = {each.name: timedelta(hours=each.deliver_for_hours) for each in load(config_file).webhook}
    about = " ".join(type_id(PREFIX, each) for each in events) or f"{state} events of {route}"
    now, done = datetime.now(UTC), 0
    async with (
        opened(config_file) as database,
        operator_change(database, "webhooks.replay", about) as connection,
    ):
        keeping = WebhookKeeping(connection)
        if events:
            found = [each for event in events for each in await keeping.look(event=event, limit=1)]
        else:
            found = await keeping.look(route=route, state=state, limit=_MOST)
        for each in found:
            lasts = times.get(each.route, _DELIVER_FOR) if each.kind == WEBHOOK else _DELIVER_FOR
            done += await keeping.replay([each.id], now, now + lasts)
        if not done:
            raise EventsNotFound(what=about)
    return done


def _id(event: str) -> UUID:
    found = read_type_id(PREFIX, event)
    if found is None:
        raise EventsNotFound(what=event)
    return found


def _show(found: Sequence[Listed], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_document(each) for each in found], indent=2))
        return
    rows = [
        (
            (type_id(PREFIX, each.id), f"{each.kind}, {each.route}"),
            (each.state, str(each.code or each.status or "")),
            (f"{each.received_at:%Y-%m-%d %H:%M}", f"tries: {each.attempts}{_next(each)}"),
        )
        for each in found
    ]
    show_pairs(("event", "state", "received"), rows)


def _next(event: Listed) -> str:
    return f", next {event.next_run:%H:%M}" if event.state == "pending" and event.attempts else ""


def _document(event: Listed) -> dict[str, object]:
    times = ("received_at", "next_run", "ended_at", "deliver_until")
    shown = {name: value.isoformat() if (value := getattr(event, name)) else None for name in times}
    return {
        "id": type_id(PREFIX, event.id),
        "kind": event.kind,
        "route": event.route,
        "state": event.state,
        "attempts": event.attempts,
        "status": event.status,
        "code": event.code,
        **shown,
        "can_be_replayed": event.kept and event.state in ("dead", "delivered"),
    }
