"""What happens towards upstreams, in the Prometheus format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from proxy.edge.tallies import Tally


class UpstreamMetrics:
    """`outcome` is a class of statuses (2xx) or a code; `upstream` a URL of the configuration."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Tally(
            "panless_upstream_attempts", "Requests sent to upstreams, or tried to.", ["route", "outcome"], registry
        )
        self.retries = Counter("panless_upstream_retries", "Attempts after the first.", ["route"], registry=registry)
        self.refused = Counter(
            "panless_upstream_retries_refused",
            "Retries that the budget of the upstream did not allow.",
            ["route"],
            registry=registry,
        )
        self._in_flight = Gauge(
            "panless_upstream_in_flight",
            "Requests that an upstream has not answered to the end.",
            ["upstream"],
            registry=registry,
        )
        self._circuit = Gauge(
            "panless_upstream_circuit",
            "The circuit breaker: 0 closed, 1 half-open, 2 open.",
            ["upstream"],
            registry=registry,
        )

    def watch(self, upstream: str, in_flight: Callable[[], float], circuit: Callable[[], float]) -> None:
        """Show the state of an upstream as it is when somebody looks."""
        self._in_flight.labels(upstream).set_function(in_flight)
        self._circuit.labels(upstream).set_function(circuit)
