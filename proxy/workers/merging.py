"""Metrics of several workers as one: what Prometheus sees does not depend on which worker it asks.

Counters and histograms are summed, those of workers that have ended too: a counter never goes down. Gauges are summed
over the workers that run, or the largest or smallest one counts, as `GAUGES` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

# In a form that JSON holds: [name, type, help, [[sample, labels, value], ...]].
Sample = list[Any]
Family = list[Any]
Families = list[Family]
Key = tuple[str, tuple[tuple[str, str], ...]]

COUNTED = ("counter", "histogram", "summary")


def total(values: Sequence[float]) -> float:
    """Sum up what is counted, also by workers that have ended."""
    return sum(values)


def now(values: Sequence[float]) -> float:
    """Sum up what there is at this moment."""
    return sum(values)


GAUGES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "panless_key_providers_up": min,
    "panless_requests_in_flight": now,
    "panless_upstream_in_flight": now,
    "panless_upstream_circuit": max,
    "panless_writer_batches": total,
    "panless_writer_writes": total,
    "panless_audit_checkpoint_failures": total,
    # The rest is read from the database, by each worker in its turn.
    "panless_audit_checkpoint_size": max,
    "panless_audit_checkpoint_timestamp_seconds": max,
    "panless_audit_gaps": max,
    "panless_audit_sink_behind": max,
    "panless_operations": max,
    "panless_operations_oldest_seconds": max,
    "panless_webhooks_pending": max,
    "panless_webhooks_oldest_seconds": max,
    "panless_workers": now,
}


def families(collected: Iterable[Metric]) -> Families:
    """Return what a registry has collected, in a form that can be sent."""
    return [
        [each.name, each.type, each.documentation, [[s.name, dict(s.labels), s.value] for s in each.samples]]
        for each in collected
    ]


def merged(parts: Iterable[Families]) -> Families:
    """Merge the metrics of several workers."""
    found: dict[str, Family] = {}
    samples: dict[str, dict[Key, list[float]]] = {}
    for name, kind, about, given in (family for part in parts for family in part):
        found.setdefault(name, [name, kind, about, []])
        mine = samples.setdefault(name, {})
        for sample, labels, value in given:
            mine.setdefault((sample, tuple(labels.items())), []).append(value)
    for name, family in found.items():
        family[3] = [
            [sample, dict(labels), _rule(name, family[1], sample)(values)]
            for (sample, labels), values in samples[name].items()
        ]
    return list(found.values())


def lasting(given: Families) -> Families:
    """Return what stays of a worker that has ended."""
    return [each for each in given if each[1] in COUNTED or GAUGES.get(each[0]) is total]


def render(given: Families) -> bytes:
    """Return merged metrics in the Prometheus format."""
    registry = CollectorRegistry()
    registry.register(_Merged(given))
    return generate_latest(registry)


def _rule(name: str, kind: str, sample: str) -> Callable[[Sequence[float]], float]:
    if kind in COUNTED:
        return min if sample.endswith("_created") else total
    return GAUGES.get(name, max)


class _Merged(Collector):
    def __init__(self, given: Families) -> None:
        self._given = given

    def collect(self) -> Iterable[Metric]:
        for name, kind, about, samples in self._given:
            metric = Metric(name, about, kind)
            for sample, labels, value in samples:
                metric.add_sample(sample, labels, value)
            yield metric
