"""panless operations: asynchronous payments, and what an operator does about those that did not end well."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table

from proxy.cli.idempotency import app_option, effect_option, limit_option, route_option
from proxy.cli.pairs import show_pairs
from proxy.cli.running import config_option, json_option, opened, run
from proxy.outgoing.operation_ids import PREFIX, about, operation_id
from proxy.state.operations import Operation
from proxy.state.pool import Connection
from proxy.state.settling import (
    Wanted,
    cancel_operation,
    find_operation,
    list_operations,
    retry_operation,
    settle_operation,
)
from vault.tokens import type_id
from vault.upkeep.changes import operator_change, operator_look

STATES = ("pending", "running", "succeeded", "failed", "unknown", "cancelled", "dead")


def _identifier(_context: click.Context, parameter: click.Parameter, value: str) -> UUID:
    found = operation_id(value)
    if found is None:
        raise click.BadParameter("an operation is named op_ and 26 characters", param=parameter)
    return found


id_argument = click.argument("operation", metavar="ID", callback=_identifier)


@click.group()
def operations() -> None:
    """Operations: payments that applications have sent later (`Prefer: respond-async`)."""


@operations.command("list")
@config_option
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@app_option
@route_option
@limit_option
@json_option
def list_(
    config_file: Path, state: str | None, app: str | None, route: str | None, limit: int, *, as_json: bool
) -> None:
    """Show operations, newest first.

    \b
    pending    waits for its turn, or to be sent again
    running    is being sent
    succeeded  the gateway took it
    failed     the gateway refused it, or it could not be sent; its code says why
    unknown    it may have taken effect: look at the gateway, then `panless operations settle`
    cancelled  it was never sent
    dead       it never reached the gateway, and its time is up
    """
    found = run(_list(config_file, Wanted(app, route, state, limit)))
    if as_json:
        click.echo(json.dumps([about(each) | {"app": each.app} for each in found], indent=2))
        return
    rows = [
        (
            (type_id(PREFIX, each.id), f"{each.app}, {each.route}"),
            (each.state, str(each.code or each.status or "")),
            (f"{each.created_at:%Y-%m-%d %H:%M}", f"attempts: {each.attempts}"),
        )
        for each in found
    ]
    show_pairs(("operation", "state", "since"), rows)


@operations.command(short_help="Show one operation.")
@id_argument
@config_option
@json_option
def show(operation: UUID, config_file: Path, *, as_json: bool) -> None:
    """Show what has become of operation ID. What it says, and what the gateway answered, stays sealed."""
    found = run(_find(config_file, operation))
    if as_json:
        click.echo(json.dumps(about(found), indent=2))
        return
    shown = Table(show_header=False)
    more = {"answer": found.status, "app": found.app, "sequence": found.sequence, "sent_with_key": found.key}
    for name, value in (about(found) | more).items():
        shown.add_row(name, "-" if value is None else str(value))
    Console().print(shown)


@operations.command(short_help="Send one once more.")
@id_argument
@click.option("--did-not-take-effect", "is_safe", is_flag=True, help="Also one that is unknown: the gateway has none.")
@config_option
def retry(operation: UUID, *, is_safe: bool, config_file: Path) -> None:
    """Put operation ID, which failed, is dead or was cancelled, back into the queue.

    One that is unknown may have taken effect: look at the gateway, and say so with --did-not-take-effect.
    """

    async def again(connection: Connection) -> None:
        await retry_operation(connection, operation, is_safe=is_safe)

    run(_change(config_file, "operations.retry", operation, again))
    click.echo("It is in the queue again; a running Panless sends it within seconds.")


@operations.command(short_help="Cancel one that waits.")
@id_argument
@config_option
def cancel(operation: UUID, config_file: Path) -> None:
    """Cancel operation ID, which waits. If an attempt may have reached the gateway it is unknown then."""

    async def end(connection: Connection) -> None:
        await cancel_operation(connection, operation)

    run(_change(config_file, "operations.cancel", operation, end))
    click.echo("It is not sent any more.")


@operations.command(short_help="Say whether one took effect.")
@id_argument
@effect_option
@config_option
def settle(operation: UUID, *, took_effect: bool, config_file: Path) -> None:
    """Say of operation ID, which is unknown, whether it took effect: look at the gateway first."""

    async def end(connection: Connection) -> None:
        await settle_operation(connection, operation, took_effect=took_effect)

    run(_change(config_file, "operations.settle", operation, end))
    click.echo(f"It has {'succeeded' if took_effect else 'failed'}.")


async def _list(config_file: Path, wanted: Wanted) -> Sequence[Operation]:
    async with opened(config_file) as database, operator_look(database) as connection:
        return await list_operations(connection, wanted)


async def _find(config_file: Path, operation: UUID) -> Operation:
    async with opened(config_file) as database, operator_look(database) as connection:
        return await find_operation(connection, operation)


async def _change(
    config_file: Path, action: str, operation: UUID, change: Callable[[Connection], Awaitable[None]]
) -> None:
    about_it = type_id(PREFIX, operation)
    async with opened(config_file) as database, operator_change(database, action, about_it) as connection:
        await change(connection)
