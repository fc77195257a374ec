"""panless idempotency: keys of applications, and saying how it was where that is not known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from proxy.cli.pairs import show_pairs
from proxy.cli.running import config_option, json_option, opened, run
from proxy.state.idempotency import Key
from proxy.state.settling import KeyState, Wanted, list_keys, settle_key
from vault.upkeep.changes import operator_change, operator_look

STATES = ("running", "repeatable", "unknown", "done", "settled")

app_option = click.option("--app", metavar="NAME", help="Only those of this application.")
route_option = click.option("--route", metavar="NAME", help="Only those of this route.")
limit_option = click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="How many."
)


def _said(_context: click.Context, _parameter: click.Parameter, value: bool | None) -> bool:
    if value is None:  # no default: a guess would be sent, or not be sent, as a payment
        raise click.UsageError("say what the gateway shows: --took-effect or --did-not")
    return value


effect_option = click.option(
    "--took-effect/--did-not", default=None, callback=_said, help="What the gateway says: there is a payment, or none."
)


@click.group()
def idempotency() -> None:
    """Idempotency keys: what was sent with them, and whether it took effect."""


@idempotency.command("list")
@config_option
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@app_option
@route_option
@limit_option
@json_option
def list_(
    config_file: Path, state: str | None, app: str | None, route: str | None, limit: int, *, as_json: bool
) -> None:
    """Show keys, newest first.

    \b
    running     the request is under way
    repeatable  it may have taken effect; the gateway honours the key, so it can be sent again
    unknown     it may have taken effect, and is not sent again: see `panless idempotency settle`
    done        its answer is kept, and is what a later request gets
    settled     it took effect, as an operator says; its answer was lost
    """
    found = run(_list(config_file, Wanted(app, route, state, limit)))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2, default=str))
        return
    rows = [
        (
            (each.key, f"{each.app}, {each.route}"),
            (each.state, str(each.code or each.status or "")),
            (f"{each.created_at:%Y-%m-%d %H:%M}", f"to {each.expires_at:%Y-%m-%d}"),
        )
        for each in found
    ]
    show_pairs(("key", "state", "since"), rows)


@idempotency.command(short_help="Say whether a request took effect.")
@click.argument("app")
@click.argument("route")
@click.argument("key")
@effect_option
@config_option
def settle(app: str, route: str, key: str, *, took_effect: bool, config_file: Path) -> None:
    """Say whether the request of application APP on ROUTE with idempotency KEY took effect: look at the gateway first.

    If it did, it is never sent again, and the application is told that its answer was lost. If it did not, the key is
    free: the application's next request with it is sent.
    """
    run(_settle(config_file, Key(app, route, key), took_effect))
    click.echo("It took effect: it is not sent again." if took_effect else "It did not: the key is free again.")


async def _list(config_file: Path, wanted: Wanted) -> Sequence[KeyState]:
    async with opened(config_file) as database, operator_look(database) as connection:
        return await list_keys(connection, wanted)


async def _settle(config_file: Path, key: Key, took_effect: bool) -> None:
    about = f"{key.app} {key.route} {key.text}: {'took effect' if took_effect else 'did not'}"
    async with (
        opened(config_file) as database,
        operator_change(database, "idempotency.settle", about) as connection,
    ):
        await settle_key(connection, key, took_effect=took_effect)
