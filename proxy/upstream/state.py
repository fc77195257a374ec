"""What is known of each upstream: its circuit, its budget of retries, its requests in flight."""

from __future__ import annotations

import math
import time

import structlog

from proxy.edge.upstream_metrics import UpstreamMetrics
from proxy.routes import Route
from proxy.upstream.backoff import RetryBudget
from proxy.upstream.breaker import Breaker
from proxy.upstream.errors import UpstreamBusy, UpstreamCircuitOpen
from proxy.upstream.settings import UpstreamSettings

# Of a route without a breaker: what is said with it changes nothing.
_NO_PERIOD = -1

log = structlog.get_logger()


class Upstream:
    """One upstream, for all routes that lead there; the settings are those of the route that asks."""

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.budget = RetryBudget()
        self.in_flight = 0

    def check(self, route: Route, settings: UpstreamSettings) -> None:
        """Raise UpstreamBusy or UpstreamCircuitOpen if a request would not be let through now."""
        if self.in_flight >= settings.max_in_flight:
            raise UpstreamBusy(reached="no", route=route.name, limit=settings.max_in_flight)
        wait = self.breaker.wait(time.monotonic()) if settings.breaker.failures else None
        if wait is not None:
            raise UpstreamCircuitOpen(reached="no", route=route.name, seconds=max(1, math.ceil(wait)))

    def enter(self, route: Route, settings: UpstreamSettings) -> Slot:
        """Return a slot for one attempt, which has to be left; raises as `check` does."""
        self.check(route, settings)
        return Slot(self, route, settings)


class Slot:
    """The place of one attempt among those in flight. What is said of it counts once, and leaving it counts once."""

    def __init__(self, upstream: Upstream, route: Route, settings: UpstreamSettings) -> None:
        self._upstream = upstream
        self._route = route.name
        self._settings = settings.breaker
        self._period = upstream.breaker.admit() if settings.breaker.failures else _NO_PERIOD
        self._left = self._told = False
        upstream.in_flight += 1

    @property
    def is_probe(self) -> bool:
        return self._upstream.breaker.is_probe(self._period)

    def succeeded(self) -> None:
        if not self._told:
            self._told = True
            self._upstream.breaker.succeeded(self._period)

    def failed(self, code: str) -> None:
        """Count a failure; `code`, of an error or a status, is for the log, if the circuit opens by it."""
        if self._told:
            return
        self._told = True
        limits = self._settings
        if self._upstream.breaker.failed(
            self._period, time.monotonic(), failures=limits.failures, open_seconds=limits.open_seconds
        ):
            log.warning("upstream_circuit_opened", route=self._route, code=code, seconds=limits.open_seconds)

    def leave(self) -> None:
        """Make room. If nothing was said before, it counts neither way."""
        if self._left:
            return
        self._left = True
        self._upstream.in_flight -= 1
        if not self._told:
            self._upstream.breaker.abandoned(self._period)


class Upstreams:
    """The upstreams by scheme and authority. They outlive a change of the configuration."""

    def __init__(self, metrics: UpstreamMetrics | None = None) -> None:
        self._known: dict[tuple[str, str], Upstream] = {}
        self._metrics = metrics

    def of(self, route: Route) -> Upstream:
        key = route.scheme, route.authority.lower()
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._made("://".join(key))
        return known

    def _made(self, name: str) -> Upstream:
        made = Upstream()
        if self._metrics is not None:
            self._metrics.watch(name, lambda: made.in_flight, lambda: made.breaker.circuit(time.monotonic()).value)
        return made
