"""Metrics in the Prometheus format. Labels are names from the configuration and codes, never input."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric

from proxy.edge.tallies import Tally, Times
from proxy.edge.upstream_metrics import UpstreamMetrics

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one Panless."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Tally(
            "panless_requests", "Requests answered.", ["listener", "route", "status", "code"], self._registry
        )
        self.seconds = Times(
            "panless_request_seconds",
            "Time from the request's first line to the end of its answer.",
            ["listener", "route"],
            _BUCKETS,
            self._registry,
        )
        self.providers_up = Gauge(
            "panless_key_providers_up", "Whether the key providers answered when last asked.", registry=self._registry
        )
        self.in_flight = 0
        Gauge("panless_requests_in_flight", "Requests being answered.", registry=self._registry).set_function(
            lambda: self.in_flight
        )
        self.values = Tally("panless_values", "Values tokenized and revealed.", ["action", "kind"], self._registry)
        self.leaks = Counter(
            "panless_leaks",
            "Numbers on their way to an application that look like card numbers.",
            ["route", "guard"],
            registry=self._registry,
        )
        self.idempotent = Counter(
            "panless_idempotent_requests",
            "Requests with an idempotency key of the application's: sent, or answered as before (replayed).",
            ["route", "outcome"],
            registry=self._registry,
        )
        self.operations = Gauge(
            "panless_operations", "Operations that are pending or running.", ["state"], registry=self._registry
        )
        self.operations_oldest = Gauge(
            "panless_operations_oldest_seconds", "Age of the oldest of them.", ["state"], registry=self._registry
        )
        self.operations_ended = Counter(
            "panless_operations_ended", "Operations that have ended.", ["route", "state"], registry=self._registry
        )
        self.reloads = Counter(
            "panless_config_reloads", "Configurations read again.", ["outcome"], registry=self._registry
        )
        self.batches = Gauge("panless_writer_batches", "Commits of the writer.", registry=self._registry)
        self.writes = Gauge("panless_writer_writes", "Requests that those commits served.", registry=self._registry)
        self.checkpoint_size = Gauge(
            "panless_audit_checkpoint_size", "Events under the newest checkpoint.", registry=self._registry
        )
        self.checkpoint_at = Gauge(
            "panless_audit_checkpoint_timestamp_seconds",
            "Its time.",
            registry=self._registry,
        )
        self.checkpoint_failures = Gauge(
            "panless_audit_checkpoint_failures", "Checkpoints that could not be made.", registry=self._registry
        )
        self.audit_gaps = Gauge(
            "panless_audit_gaps", "Chains that cannot be signed: something is missing.", registry=self._registry
        )
        self.sink_sent = Counter(
            "panless_audit_sink_sent",
            "What a sink has taken.",
            ["sink"],
            registry=self._registry,
        )
        self.sink_failures = Counter(
            "panless_audit_sink_failures", "Deliveries that a sink did not take.", ["sink"], registry=self._registry
        )
        self.sink_behind = Gauge(
            "panless_audit_sink_behind", "What a sink has not got yet.", ["sink"], registry=self._registry
        )
        self.webhooks = Counter(
            "panless_webhooks",
            "Webhooks that came: stored, passed, replayed, or the code of a refusal.",
            ["route", "outcome"],
            registry=self._registry,
        )
        self.webhooks_delivered = Counter(
            "panless_webhook_deliveries",
            "Attempts to deliver a stored event: delivered, failed, dead.",
            ["route", "outcome"],
            registry=self._registry,
        )
        self.webhooks_pending = Gauge(
            "panless_webhooks_pending", "Events that wait for delivery.", ["route"], registry=self._registry
        )
        self.webhooks_oldest = Gauge(
            "panless_webhooks_oldest_seconds", "How long the oldest one has waited.", ["route"], registry=self._registry
        )
        self.purged = Counter("panless_leases_purged", "CVC leases whose time ended.", registry=self._registry)
        self.tokens_purged = Counter("panless_tokens_purged", "Tokens whose time ended.", registry=self._registry)
        self.upstreams = UpstreamMetrics(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Return what `render` shows, for merging it with that of other workers."""
        return self._registry.collect()

    def render(self) -> bytes:
        return generate_latest(self._registry)
