"""What is unknown is settled by an operator, and that is recorded."""

from __future__ import annotations

import json

import pytest

from tests.harness.payments import Payments, code
from tests.harness.process import Done
from tests.harness.upstream import Answer


@pytest.fixture
def world(paying: Payments) -> Payments:
    return paying


async def run(world: Payments, *arguments: str) -> Done:
    done = await world.panless.command(*arguments)
    assert done.code == 0, done.err
    return done


async def doubt(world: Payments, key: str) -> dict:
    """Leave a payment in doubt; return its card."""
    card = await world.card()
    world.gateway.answer = Answer(raw=b"")
    assert (await world.pay("plain", card, key))[0] == 502
    world.gateway.answer = Answer()
    return card


async def test_a_payment_that_took_effect_is_never_sent_again(world):
    card = await doubt(world, "doubt-1")
    listed = json.loads((await run(world, "idempotency", "list", "--state", "unknown", "--json")).out)
    assert [(each["app"], each["route"], each["key"], each["code"]) for each in listed] == [
        ("shop", "plain", "doubt-1", "upstream_disconnected")
    ]
    assert "doubt-1" in (await run(world, "idempotency", "list", "--app", "shop")).out
    await run(world, "idempotency", "settle", "shop", "plain", "doubt-1", "--took-effect")
    assert code(await world.pay("plain", card, "doubt-1")) == (409, "outcome_settled")
    assert len(world.charged()) == 1
    [event] = await world.panless.events("--action", "idempotency.settle")
    assert event["destination"] == "shop plain doubt-1: took effect"
    assert event["origin"].startswith("operator ")


async def test_the_key_of_one_that_did_not_is_free(world):
    card = await doubt(world, "doubt-2")
    await run(world, "idempotency", "settle", "shop", "plain", "doubt-2", "--did-not")
    assert (await world.pay("plain", card, "doubt-2"))[0] == 200
    assert len(world.charged()) == 2


async def test_only_what_is_unknown_is_settled(world):
    await world.pay("plain", await world.card(), "sure-1")
    for key in ("sure-1", "nobody"):
        done = await world.panless.command("idempotency", "settle", "shop", "plain", key, "--did-not")
        assert done.code == 1
        assert "key_not_settled" in done.err
    without = await world.panless.command("idempotency", "settle", "shop", "plain", "sure-1")
    assert without.code == 2


async def later(world: Payments, answer: Answer) -> tuple[str, str]:
    """Have a payment sent later and answered so; return where to ask for it, and its id."""
    world.gateway.answer = answer
    path = await world.later("plain", await world.card())
    await world.ended(path)
    world.gateway.answer = Answer()
    return path, path.rpartition("/")[2]


async def test_an_operation_that_failed_is_sent_once_more(world):
    path, name = await later(world, Answer(402))
    shown = json.loads((await run(world, "operations", "show", name, "--json")).out)
    assert (shown["status"], shown["answer"]["status"]) == ("failed", 402)
    await run(world, "operations", "retry", name)
    assert (await world.ended(path))["status"] == "succeeded"
    [event] = await world.panless.events("--action", "operations.retry")
    assert event["destination"] == name


async def test_it_is_sent_with_another_key_or_the_gateway_would_fail_it_again(world):
    world.gateway.answer = Answer(402)
    path = await world.later("keyed", await world.card(), "retry-1")
    await world.ended(path)
    world.gateway.answer = Answer()
    await run(world, "operations", "retry", path.rpartition("/")[2])
    assert (await world.ended(path))["status"] == "succeeded"
    first, second = (each.header("Idempotency-Key") for each in world.charged())
    assert first == "retry-1"
    assert second not in (None, first)


async def test_one_that_may_have_taken_effect_is_not_unless_somebody_says_that_it_has_not(world):
    path, name = await later(world, Answer(raw=b""))
    refused = await world.panless.command("operations", "retry", name)
    assert (refused.code, "operation_not_settled" in refused.err) == (1, True)
    assert len(world.charged()) == 1
    await run(world, "operations", "retry", name, "--did-not-take-effect")
    assert (await world.ended(path))["status"] == "succeeded"


@pytest.mark.parametrize(("effect", "state"), [("--took-effect", "succeeded"), ("--did-not", "failed")])
async def test_an_operation_is_settled(world, effect, state):
    path, name = await later(world, Answer(raw=b""))
    assert name in (await run(world, "operations", "list", "--state", "unknown")).out
    await run(world, "operations", "settle", name, effect)
    told = await world.ended(path)
    assert (told["status"], told["code"]) == (state, "settled_by_operator")
    assert (await world.panless.command("operations", "settle", name, effect)).code == 1


async def test_one_that_waits_is_cancelled(world):
    world.gateway.answer = Answer(429, headers=[("Retry-After", "60")])
    path = await world.later("plain", await world.card())
    name = path.rpartition("/")[2]
    while json.loads((await world.ask(path))[1])["code"] is None:
        pass
    await run(world, "operations", "cancel", name)
    assert (await world.ended(path))["status"] == "cancelled"


async def test_a_name_that_is_none_is_told_so(world):
    done = await world.panless.command("operations", "show", "op_nothing")
    assert (done.code, "op_ and 26 characters" in done.err) == (2, True)
