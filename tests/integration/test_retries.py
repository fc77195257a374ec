"""Retries of a running Panless: never without safety, whatever breaks and wherever it does; charges are counted."""

from __future__ import annotations

import random

import pytest

from tests.harness.fault_plan import Fault, drawn
from tests.harness.faulty_world import PAN, faulty_world

QUICK = "retries = { base_seconds = 0.001, max_seconds = 0.01 }\n"
ROUTES = {
    "pay": QUICK + "breaker = { failures = 0 }\ntimeouts = { first_byte = 2, between_bytes = 2 }",
    "once": "retries = { attempts = 1 }\nbreaker = { failures = 0 }",
}
# Longer than a request and an answer of these tests.
REQUEST, ANSWER = 420, 230


@pytest.fixture(scope="module")
async def world(tmp_path_factory):
    async with faulty_world(tmp_path_factory.mktemp("retries"), ROUTES) as made:
        yield made


async def _breaks(world, fault: Fault) -> None:
    """Charge once over a connection that breaks; what the application is told has to be true."""
    world.gateway.will(fault)
    outcome = await world.charge("pay")
    charges = len(world.gateway.ledger.charges)
    assert world.gateway.connections == 1, fault
    if outcome.status == 200:
        assert charges == 1 and outcome.document["id"] == "ch_000001", fault
    else:
        assert (outcome.status, charges) in ((502, 0), (502, 1)), fault
        assert outcome.reached in ("maybe", "yes"), fault


@pytest.mark.parametrize("kind", ["reset_request", "reset_answer", "cut"])
async def test_a_connection_that_breaks_anywhere_is_one_charge_or_none(world, kind):
    for at in range(1, REQUEST if kind == "reset_request" else ANSWER, 37):
        await _breaks(world, Fault(kind, at=at))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["reset_request", "reset_answer", "cut"])
async def test_a_connection_that_breaks_at_each_byte(world, kind):
    for at in range(1, REQUEST if kind == "reset_request" else ANSWER):
        await _breaks(world, Fault(kind, at=at))


async def test_no_charge_is_repeated_under_any_seed(world):
    """Without idempotency each attempt that the gateway takes is a charge: one request, one charge at most."""
    chance = random.Random(6)  # noqa: S311
    for number in range(60):
        fault = drawn(chance, share=0.8)
        if fault.kind in ("hang_before", "hang_after"):
            continue  # they take the time of a time-out, and are tested with those
        world.gateway.will(fault)
        outcome = await world.charge("pay")
        charges = len(world.gateway.ledger.charges)
        assert charges <= 1, (number, fault)
        assert outcome.status != 200 or charges == 1, (number, fault)
        assert outcome.reached != "no" or charges == 0, (number, fault)


async def test_nothing_sent_is_tried_again(world):
    retries = 'panless_upstream_retries_total{route="pay"}'
    attempts = 'panless_upstream_attempts_total{outcome="upstream_unreachable",route="pay"}'
    before = await world.metric(retries), await world.metric(attempts)
    world.gateway.will()
    world.gateway.refuse()
    try:
        outcome = await world.charge("pay")
        assert (outcome.status, outcome.code, outcome.reached) == (502, "upstream_unreachable", "no")
    finally:
        await world.gateway.listen_again()
    assert (await world.metric(retries), await world.metric(attempts)) == (before[0] + 2, before[1] + 3)
    assert "upstream_retry" in world.panless.log
    assert PAN not in world.panless.log


async def test_what_is_idempotent_is_repeated(world):
    world.gateway.will(Fault("cut", at=0), Fault("error_before", status=503))
    assert (await world.charge("pay", "GET")).status == 200
    assert world.gateway.connections == 3
    world.gateway.will(Fault("cut", at=0))
    assert (await world.charge("once", "GET")).code == "upstream_disconnected"
    assert world.gateway.connections == 1


async def test_a_retry_after_beyond_the_deadline_goes_to_the_application(world):
    world.gateway.will(Fault("too_many", seconds=3600))
    outcome = await world.charge("pay", "GET")
    assert (outcome.status, outcome.code, outcome.headers["Retry-After"]) == (429, None, "3600")
    assert world.gateway.connections == 1
