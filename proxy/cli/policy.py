"""panless policy: who may do what, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from proxy.cli.exits import FAILED
from proxy.cli.running import config_option, json_option, opened, run
from proxy.cli.tokens import looked_up
from proxy.config import Config, InboundConfig, OutboundConfig, load
from proxy.settings import policy_of
from vault.kinds import KINDS
from vault.policy import Permit, Policy, Principal
from vault.rules import Action, Rule
from vault.upkeep import apps
from vault.upkeep.erasure import EndedToken, TokenRow

TIMES = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]


@click.group()
def policy() -> None:
    """Policy: [[policy]] in the configuration, routes' `apps`, and the limits of tokens."""


@policy.command(short_help="May this application do that? Which rule says so?")
@config_option
@click.option("--app", default="", help="The application; left out: anybody, as on an inbound route.")
@click.option("--route", "route_name", required=True, help="The route.")
@click.option("--token", "text", help="The token that would be revealed; its own limits are looked at, too.")
@click.option("--kind", type=click.Choice(sorted(KINDS)), help="The kind of value; left out: the token's, or any.")
@click.option("--at", type=click.DateTime(TIMES), help="When (UTC); left out: now.")
@click.option("--from", "origin", help="The address that the request comes from.")
@click.option("--tenant", help="The application's tenant; left out: what `panless app list` says, or default.")
@json_option
def explain(
    config_file: Path,
    *,
    app: str,
    route_name: str,
    text: str | None,
    kind: str | None,
    at: datetime | None,
    origin: str | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Say what would be decided, and go through the rules one by one. Exits with 0 if it is permitted, else with 1.

    \b
      panless policy explain -c FILE --app shop --route stripe --token tok_... --at 2026-03-01T23:00
    """
    config = load(config_file)
    route = _route(config, route_name)
    whose = tenant or run(_tenant(config_file, app))
    found = None if text is None else looked_up(config_file, text, whose)
    kinds = {kind} if kind else ({found.kind} if isinstance(found, TokenRow) else set())
    when = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    outbound = isinstance(route, OutboundConfig)
    named = (route.apps or None) if isinstance(route, OutboundConfig) else route.apps
    action = Action("reveal" if outbound else "tokenize", route.name, named, frozenset(kinds) or None, origin, when)
    rules = policy_of(config)
    decision = rules.decide(Principal(app, whose), action, route.upstream_url.netloc)
    wrong = _token_problems(found, whose, route, when) if found is not None else []
    permitted = isinstance(decision, Permit) and not wrong
    steps = [_step(rule, action, app, next(iter(kinds), None)) for rule in rules.rules]
    if as_json:
        click.echo(json.dumps(_document(rules, decision.rule or "", steps, wrong, permitted=permitted), indent=2))
    else:
        _print(decision.rule or "", steps, wrong, permitted=permitted)
    raise click.exceptions.Exit(0 if permitted else FAILED)


def _route(config: Config, name: str) -> InboundConfig | OutboundConfig:
    routes: list[InboundConfig | OutboundConfig] = [*config.inbound, *config.outbound]
    for route in routes:
        if route.name == name:
            return route
    names = ", ".join(route.name for route in routes)
    raise click.BadParameter(f"there is no such route; there are: {names}", param_hint="--route")


async def _tenant(config_file: Path, app: str) -> str:
    async with opened(config_file) as database:
        return next((each.row.tenant for each in await apps.apps(database) if each.row.name == app), "default")


def _step(rule: Rule, action: Action, app: str, kind: str | None) -> tuple[str, str, str]:
    effect = "allow" if rule.allows else "deny"
    return rule.name, effect, "; ".join(rule.misses(action, app, kind)) or "matches"


def _token_problems(
    found: TokenRow | EndedToken, tenant: str, route: InboundConfig | OutboundConfig, when: datetime
) -> list[str]:
    """Return why a token could not be revealed there, whatever the rules say."""
    if found.tenant != tenant:
        return [f"the token belongs to tenant {found.tenant}, the application to {tenant}"]
    if isinstance(found, EndedToken):
        return [f"the token was {found.reason}"]
    problems = []
    if found.expires_at is not None and found.expires_at <= when:
        problems.append(f"the token expired at {found.expires_at:%Y-%m-%d %H:%M}")
    if found.max_uses is not None and found.uses >= found.max_uses:
        problems.append(f"the token was used {found.uses} times, of {found.max_uses}")
    if found.routes is not None and route.name not in found.routes:
        problems.append(f"the token is for routes {', '.join(found.routes)}")
    if found.gateways is not None and route.upstream_url.netloc not in found.gateways:
        problems.append(f"the token is for gateways {', '.join(found.gateways)}")
    return problems


def _document(
    rules: Policy, decided_by: str, steps: Sequence[tuple[str, str, str]], wrong: Sequence[str], *, permitted: bool
) -> dict[str, object]:
    listed = [{"rule": name, "effect": effect, "why": why} for name, effect, why in steps]
    return {
        "permitted": permitted,
        "policy": rules.version,
        "decided_by": decided_by,
        "rules": listed,
        "token": list(wrong),
    }


def _print(decided_by: str, steps: Sequence[tuple[str, str, str]], wrong: Sequence[str], *, permitted: bool) -> None:
    console = Console()
    if steps:
        table = Table(title="Rules, in their order; the first that matches decides", title_justify="left")
        for column in ("rule", "effect", "why it matches or not"):
            table.add_column(column, overflow="fold")
        for step in steps:
            table.add_row(*step, style="bold" if step[2] == "matches" else "dim")
        console.print(table)
    if permitted:
        console.print(f"[green]Permitted[/green] by {decided_by}.")
    elif wrong:
        console.print(f"[red]Denied[/red]: {'; '.join(wrong)}.")
    else:
        console.print(f"[red]Denied[/red] by {decided_by}.")
