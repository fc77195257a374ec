"""Metrics of several workers: sums that never go down, and what there is only once."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from proxy.edge.metrics import Metrics
from proxy.workers.merging import GAUGES, families, lasting, merged, render


def part(requests: int, batches: int, in_flight: int, up: int) -> list:
    registry = CollectorRegistry()
    Counter("panless_requests", "-", ["route"], registry=registry).labels("a").inc(requests)
    Histogram("panless_request_seconds", "-", buckets=(1,), registry=registry).observe(requests)
    for name, value in {
        "panless_writer_batches": batches,
        "panless_requests_in_flight": in_flight,
        "panless_key_providers_up": up,
    }.items():
        Gauge(name, "-", registry=registry).set(value)
    return families(registry.collect())


def shown(given: list) -> dict[str, float]:
    lines = render(given).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_every_gauge_has_a_rule():
    gauges = {each.name for each in Metrics().collect() if each.type == "gauge"}
    assert gauges <= GAUGES.keys()


def test_counters_are_summed_and_gauges_as_their_rules_say():
    found = shown(merged([part(2, 5, 1, 1), part(3, 7, 4, 0)]))
    assert found['panless_requests_total{route="a"}'] == 5
    assert found["panless_request_seconds_count"] == 2
    assert found['panless_request_seconds_bucket{le="+Inf"}'] == 2
    assert found["panless_request_seconds_sum"] == 5
    assert found["panless_writer_batches"] == 12
    assert found["panless_requests_in_flight"] == 5
    assert found["panless_key_providers_up"] == 0


def test_what_a_worker_counted_outlives_it_and_what_it_was_doing_does_not():
    past = lasting(merged([[], part(2, 5, 1, 0)]))
    found = shown(merged([past, part(3, 7, 4, 1)]))
    assert found['panless_requests_total{route="a"}'] == 5
    assert found["panless_writer_batches"] == 12
    assert found["panless_requests_in_flight"] == 4
    assert found["panless_key_providers_up"] == 1


def test_the_form_of_one_worker_is_that_of_all():
    metrics = Metrics()
    metrics.requests.count("inbound", "a", "200", "")
    metrics.seconds.observe(0.2, "inbound", "a")
    assert render(merged([families(metrics.collect())])) == metrics.render()
