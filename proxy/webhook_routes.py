"""Webhook routes, compiled: how their senders are verified, and where events go, signed by whom. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from proxy.config.webhooks import WebhookConfig
from proxy.protected import exceptions
from proxy.routes import InboundRoute, Route, RouteTable
from proxy.verifying.picking import Pick
from proxy.verifying.scheme import Verifier

PASS = "pass"  # noqa: S105  # a mode


@dataclass(frozen=True, slots=True)
class WebhookRoute(Route):
    """`order`: of events with the same value there, the next waits for the one before."""

    tenant: str
    verifier: Verifier = field(repr=False)
    passes: bool
    order: Pick | None
    deliver_for: timedelta
    keep: timedelta
    whole_seconds: float

    @property
    def is_strict(self) -> bool:
        return True

    @classmethod
    def compile(cls, config: WebhookConfig, verifier: Verifier) -> WebhookRoute:
        common = cls.common(config, exceptions(config))
        if verifier.asks:
            common["methods"] = config.methods | {"GET"}
        return cls(
            **common,  # type: ignore[arg-type]
            tenant=config.tenant,
            verifier=verifier,
            passes=config.mode == PASS,
            order=Pick(config.order) if config.order else None,
            deliver_for=timedelta(hours=config.deliver_for_hours),
            keep=timedelta(days=config.keep_days),
            whole_seconds=config.timeouts.whole,
        )


@dataclass(frozen=True, slots=True)
class Destination:
    """Where events go. `route` has the upstream; each of `secrets` signs them (Standard Webhooks)."""

    route: Route
    secrets: tuple[bytes, ...] = field(repr=False)
    deliver_for: timedelta
    keep: timedelta


Destinations = Mapping[tuple[str, str], Destination]
"""By kind (`webhook`, `operation`) and name of the route."""
InboundTable = RouteTable[InboundRoute | WebhookRoute]
