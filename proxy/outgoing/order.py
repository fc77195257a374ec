"""An order: a request that an application may send to a gateway. It is checked; nothing in it is revealed yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field

from proxy.edge.exchange import Exchange
from proxy.edge.intake import Incoming
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Plan
from proxy.routes import OutboundRoute
from vault.frozen import frozen
from vault.policy import Permit
from vault.requests import Reference


def _nothing() -> None:
    pass


@frozen
class Order:
    """`references` are the tokens of the plan. `renew` gives a message that is to be sent its digests and signature.

    `key` is the application's idempotency key; `protected`: the gateway gets one with it, and honours that.
    `again`: it was revealed before, and may have been sent. `check` is called before each
    attempt; it raises if the order may be another process's by now.
    """

    exchange: Exchange
    route: OutboundRoute
    method: str
    incoming: Incoming
    plan: Plan = field(repr=False)
    permit: Permit
    references: Sequence[Reference]
    renew: Callable[[Message], Message] = field(repr=False)
    key: str | None = None
    protected: bool = False
    again: bool = False
    check: Callable[[], None] = _nothing


@frozen
class Later:
    """How an order is kept. `app_key`: the application's idempotency key; `gateway_key`: what the gateway honours."""

    app_key: str | None
    gateway_key: str | None
    sequence: str | None
