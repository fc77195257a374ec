"""Rehearsals: what would be done with a captured request, without a vault, secrets or a network. Pure.

The result shows names of the configuration, offsets and numbers of characters; of a value at most its last four digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from multidict import CIMultiDict

from proxy.config import Config, OutboundConfig
from proxy.edge.body import media_of, plain_body
from proxy.edge.identity import find_slot
from proxy.edge.names import take_names
from proxy.errors import RouteNotFound
from proxy.guard.leaks import leaks, part_of
from proxy.hosts import HTTPS_PORT, HostPort
from proxy.rewrite.fields import CREDENTIAL
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Match, Plan, find
from proxy.rewrite.reference import is_swapped, masked
from proxy.routes import InboundRoute, OutboundRoute, Route, RouteTable
from proxy.verifying.stripe import Stripe
from proxy.webhook_routes import WebhookRoute

_UNVERIFIED = Stripe(())
"""Rehearsals have no secrets, so they verify nothing."""


class UnknownRoute(Exception):
    """No route has the name that was asked for."""

    def __init__(self, name: str, names: Sequence[str]) -> None:
        super().__init__(f"there is no route {name}; there are: {', '.join(names)}")


@dataclass(frozen=True, slots=True)
class Captured:
    """A request as it was captured: one header may stand several times."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Swap:
    """A value that would be replaced: by which field, where, and what can be shown of it."""

    at: str
    kind: str
    part: str
    offset: int
    shown: str
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """`action` is `tokenize`, `reveal` or `pass`; `passing` are fields whose values need no tokens, and are none.

    `leaks` are the parts and offsets of what looks like a card number and stands in no field: on an inbound route the
    guard finds it, on an outbound one it would go to the gateway as it is.
    """

    way: str
    route: str
    upstream: str
    action: str
    credential: str | None
    swaps: tuple[Swap, ...]
    passing: tuple[str, ...]
    guard: str
    leaks: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def rehearse(config: Config, request: Captured, route_name: str | None = None) -> Rehearsal:
    """Return what would be done with a request, on the route of that name or on the one that takes it.

    Raises a PanlessError where the request would be refused.
    """
    path, _, query = request.target.partition("?")
    route = _route(config, request, route_name)
    headers = CIMultiDict(request.headers)
    media, body = None, request.body
    if body and route.fields.body:
        media = media_of(headers, route.name)
        body = plain_body(body, headers, route.name, config.limits.body_bytes)
    upstream = route.upstream_path(path)
    _, plan = take_names(find(Message(body, media, upstream, query, tuple(headers.items())), route.fields))
    route.check_required(match.field.at for match in plan.matches)
    inbound = isinstance(route, InboundRoute | WebhookRoute)
    found = _leaks(plan)
    swaps = [
        _swap(plan, match)
        for match in plan.matches
        if match.field.kind != CREDENTIAL and (inbound or is_swapped(match))
    ]
    return Rehearsal(
        way=_way(route),
        route=route.name,
        upstream=f"{route.scheme}://{route.authority}{upstream}",
        action=("tokenize" if inbound else "reveal") if swaps else "pass",
        credential=_credential(route, plan, headers) if isinstance(route, OutboundRoute) else None,
        swaps=tuple(swaps),
        passing=tuple(str(match.field.at) for match in plan.matches if not inbound and _passes(match)),
        guard=route.guard,
        leaks=found,
    )


def _route(config: Config, request: Captured, name: str | None) -> Route:
    webhooks = (WebhookRoute.compile(each, _UNVERIFIED) for each in config.webhook)
    inbound: list[InboundRoute | WebhookRoute] = [*map(InboundRoute.compile, config.inbound), *webhooks]
    outbound = [OutboundRoute.compile(each, None) for each in config.outbound]
    if name is not None:
        return _named(name, inbound, outbound)
    host = request.headers.get("Host", "")
    for each, compiled in zip(config.outbound, outbound, strict=True):
        if host and _is_host(each, host):
            return compiled.alone().match(request.method, request.target)
    try:
        return RouteTable([each for each in outbound if each.path]).match(request.method, request.target)
    except RouteNotFound:
        return RouteTable(inbound).match(request.method, request.target)


def _way(route: Route) -> str:
    if isinstance(route, WebhookRoute):
        return "webhook"
    return "inbound" if isinstance(route, InboundRoute) else "outbound"


def _named(name: str, inbound: Sequence[InboundRoute | WebhookRoute], outbound: Sequence[OutboundRoute]) -> Route:
    """Return a route by its name; a gateway's takes every path, as on a port of its own."""
    for route in inbound:
        if route.name == name:
            return route
    for each in outbound:
        if each.name == name:
            return replace(each, path="/")
    raise UnknownRoute(name, sorted(each.name for each in (*inbound, *outbound)))


def _is_host(route: OutboundConfig, host: str) -> bool:
    named = {HostPort.parse(each, default_port=HTTPS_PORT) for each in route.hosts}
    try:
        return HostPort.parse(host.lower(), default_port=HTTPS_PORT) in named
    except ValueError:
        return False


def _leaks(plan: Plan) -> tuple[str, ...]:
    whole, found = leaks(plan)
    return tuple(f"{part_of(whole, match)} at byte {match.start}" for match in found)


def _swap(plan: Plan, match: Match) -> Swap:
    of = None if match.of is None else str(plan.matches[match.of].field.at)
    at = str(match.field.at)
    return Swap(at, match.field.kind, part_of(plan, match), match.start, masked(match), of)


def _passes(match: Match) -> bool:
    return match.field.kind != CREDENTIAL and not is_swapped(match)


def _credential(route: OutboundRoute, plan: Plan, headers: CIMultiDict[str]) -> str | None:
    inside = next((str(match.field.at) for match in plan.matches if match.field.kind == CREDENTIAL), None)
    return inside or find_slot(headers, route.credential.slots)
