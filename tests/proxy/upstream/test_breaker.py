"""The circuit breaker: closed, open, half-open, and what was said too late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.breaker import Breaker, Circuit

LIMITS = {"failures": 3, "open_seconds": 10.0}


def _opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(3):
        breaker.failed(breaker.admit(), now, **LIMITS)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row():
    breaker = Breaker()
    assert [breaker.failed(breaker.admit(), 0, **LIMITS) for _ in range(3)] == [False, False, True]
    assert breaker.circuit(9.9) is Circuit.OPEN
    assert breaker.wait(4.0) == 6.0


def test_a_success_in_between_begins_anew():
    breaker = Breaker()
    for succeeds in (False, False, True, False, False):
        period = breaker.admit()
        if succeeds:
            breaker.succeeded(period)
        else:
            breaker.failed(period, 0, **LIMITS)
    assert breaker.circuit(0) is Circuit.CLOSED
    assert breaker.wait(0) is None


def test_one_probe_goes_through_when_the_time_is_up():
    breaker = _opened()
    assert breaker.circuit(10) is Circuit.HALF_OPEN
    assert breaker.wait(10) is None
    breaker.admit()
    assert breaker.circuit(10) is Circuit.HALF_OPEN
    assert breaker.wait(10) == 1.0


def test_a_probe_that_succeeds_closes_the_circuit_and_one_that_fails_opens_it_again():
    breaker = _opened()
    assert breaker.failed(breaker.admit(), 10, **LIMITS)
    assert breaker.wait(19) == 1.0
    probe = breaker.admit()
    breaker.succeeded(probe)
    assert breaker.circuit(20) is Circuit.CLOSED
    # Nothing of before is counted any more.
    assert not breaker.failed(breaker.admit(), 20, **LIMITS)


def test_a_probe_that_is_abandoned_lets_another_one_go():
    breaker = _opened()
    breaker.abandoned(breaker.admit())
    assert breaker.wait(10) is None
    assert breaker.circuit(10) is Circuit.HALF_OPEN


def test_what_is_said_of_an_earlier_period_changes_nothing():
    breaker = Breaker()
    early = breaker.admit()
    for _ in range(3):
        breaker.failed(breaker.admit(), 0, **LIMITS)
    breaker.succeeded(early)
    assert breaker.circuit(0) is Circuit.OPEN
    probe = breaker.admit()
    assert not breaker.failed(early, 10, **LIMITS)
    breaker.abandoned(early)
    assert breaker.is_probe(probe)


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from(["ok", "fail", "gone"])), max_size=60))
def test_it_never_lets_two_probes_through_and_never_stays_open_for_ever(steps):
    breaker, now = Breaker(), 0.0
    for seconds, outcome in steps:
        now += seconds
        if breaker.wait(now) is not None:
            assert breaker.circuit(now) is not Circuit.CLOSED
            continue
        half_open = breaker.circuit(now) is Circuit.HALF_OPEN
        period = breaker.admit()
        assert breaker.is_probe(period) == half_open
        if half_open:
            assert breaker.wait(now) is not None
        if outcome == "ok":
            breaker.succeeded(period)
            assert breaker.circuit(now) is Circuit.CLOSED
        elif outcome == "fail":
            breaker.failed(period, now, **LIMITS)
        else:
            breaker.abandoned(period)
    assert breaker.wait(now + LIMITS["open_seconds"]) is None
