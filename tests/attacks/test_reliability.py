"""What an application, its gateway, or whoever has the proxy's role does to requests that may come again."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.harness.payments import Payments, code
from tests.harness.upstream import Answer
from tests.harness.waiting import until

numbers = itertools.count()


@pytest.fixture
def world(paying: Payments) -> Payments:
    return paying


@pytest.fixture
def key() -> str:
    return f"attack-{next(numbers)}"


def _one_after_another(*answers: Answer):
    left = list(answers)
    return lambda _received: left.pop(0) if len(left) > 1 else left[0]


_BUSY = Answer(429, headers=[("Retry-After", "3600")])


async def test_what_may_have_taken_effect_before_the_gateway_was_busy_is_not_said_to_be_cancelled(world, key):
    """503 and then 429: the first of the two may have been a payment."""
    world.gateway.answer = _one_after_another(Answer(503), _BUSY)
    asked = await world.later("keyed", await world.card(), key)

    async def was_tried() -> bool:
        return json.loads((await world.ask(asked))[1])["code"] == "answered_429"

    await until(was_tried)
    status, told = await world.ask(asked, "DELETE")
    assert len(world.charged()) == 2
    assert (status, json.loads(told)["code"]) == (409, "operation_under_way")


async def test_a_key_stays_its_requests_if_the_gateway_was_busy_only_the_second_time(world, key):
    card = await world.card()
    world.gateway.answer = _one_after_another(Answer(503), _BUSY)
    assert (await world.pay("keyed", card, key))[0] == 429
    world.gateway.reset()
    assert code(await world.pay("keyed", card, key, body={"amount": 7})) == (422, "idempotency_key_reused")
    assert (await world.pay("keyed", card, key))[0] == 200


async def test_an_answer_that_announces_another_one_is_no_success(world):
    world.gateway.answer = Answer(raw=b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    ended = await world.ended(await world.later("plain", await world.card()))
    assert (ended["status"], ended["code"]) == ("unknown", "upstream_answer_invalid")


async def test_a_key_is_not_forgotten_while_its_operation_may_still_be_sent(world, key):
    """`keep_hours` can be less than `give_up_hours`, and less than an operator needs."""
    card = await world.card()
    world.gateway.answer = _BUSY
    first = await world.later("plain", card, key)
    await world.sql("UPDATE idempotency SET expires_at = now() - interval '1 hour' WHERE key = $1", key)
    again = await world.later("plain", card, key)
    assert again == first


async def test_another_tenants_answer_cannot_be_had_by_pointing_to_it(world, key):
    """The proxy's role may write `answer`; what it points to is bound to its tenant."""
    foreign = await world.tokens("4242424242424242", None, path="/other/checkout")
    world.gateway.answer = Answer(body=b'{"secret": "of the other tenant"}')
    await world.pay("plain", foreign, key, app=world.foreign_key)
    world.gateway.answer = Answer()
    card = await world.card()
    await world.pay("plain", card, key)
    await world.sql(
        "UPDATE idempotency SET answer = (SELECT answer FROM idempotency WHERE key = $1 AND app = 'foreign') "
        "WHERE key = $1 AND app = 'shop'",
        key,
    )
    status, _, body = await world.pay("plain", card, key)
    assert b"other tenant" not in body
    assert status == 500


async def test_nor_by_an_operation_that_points_to_it(world, key):
    foreign = await world.tokens("4242424242424242", None, path="/other/checkout")
    world.gateway.answer = Answer(body=b'{"secret": "of the other tenant"}')
    await world.pay("plain", foreign, key, app=world.foreign_key)
    world.gateway.answer = Answer()
    asked = await world.later("plain", await world.card())
    await world.ended(asked)
    await world.sql(
        "UPDATE operations SET answer = (SELECT answer FROM idempotency WHERE key = $1) WHERE request_id = "
        "(SELECT request_id FROM operations ORDER BY number DESC LIMIT 1)",
        key,
    )
    assert b"other tenant" not in (await world.ask(f"{asked}/answer"))[1]


async def test_an_event_that_points_to_a_request_delivers_nothing(world):
    """The proxy's role may write `webhook_events.document`: a request that is kept is no event."""
    card = await world.card()
    world.app.answer = Answer(503)
    other = await world.later("plain", card, body={"note": "what another application pays"})
    assert (await world.ended(other))["status"] == "succeeded"
    await world.ended(await world.later("told", card))
    await world.sql(
        "UPDATE webhook_events SET document = (SELECT request FROM operations WHERE route = 'plain' "
        "ORDER BY number DESC LIMIT 1) WHERE state = 'pending'"
    )
    world.app.answer = Answer()

    async def ended() -> bool:
        return not await world.sql("SELECT 1 FROM webhook_events WHERE state = 'pending'")

    await until(ended)
    assert not [each for each in world.app.received if b"another application" in each.body]
    assert await world.sql("SELECT 1 FROM webhook_events WHERE state = 'dead' AND code = 'record_corrupt'")


@pytest.mark.parametrize("later", [False, True])
async def test_a_gateway_that_was_busy_has_not_used_up_a_card(world, key, later):
    card = await world.tokens("4242424242424242", None, path="/once")
    world.gateway.answer = _one_after_another(Answer(429), Answer())
    if later:
        assert (await world.ended(await world.later("plain", card, key)))["status"] == "succeeded"
    else:
        assert (await world.pay("plain", card, key))[0] == 429
        assert (await world.pay("plain", card, key))[0] == 200


@pytest.mark.parametrize("where", ["query", "body"])
async def test_no_panless_key_is_kept_with_an_operation(world, where):
    card = await world.card()
    headers = {"Panless-Key": world.key, "Prefer": "respond-async"}
    body = {"card": card, "amount": 1} | ({"note": world.key} if where == "body" else {})
    url = f"{world.outbound}/plain/charges" + (f"?k={world.key}" if where == "query" else "")
    async with world.client.post(url, json=body, headers=headers) as answer:
        assert (answer.status, answer.headers.get("Panless-Error")) == (400, "key_misplaced")


async def test_a_stolen_key_that_is_revoked_pays_nothing_more(world):
    stolen = await world.panless.add_app("other")
    card = await world.card()
    world.gateway.answer = _BUSY
    await world.later("keyed", card, app=stolen)

    async def was_tried() -> bool:
        return bool(await world.sql("SELECT 1 FROM operations WHERE app = 'other' AND code = 'answered_429'"))

    await until(was_tried)
    await world.sql("UPDATE app_keys SET revoked_at = now() WHERE app = 'other'")
    world.gateway.reset()
    await world.sql("UPDATE operations SET next_run = now() WHERE app = 'other'")

    async def ended() -> bool:
        return not await world.sql("SELECT 1 FROM operations WHERE app = 'other' AND ended_at IS NULL")

    await until(ended)
    assert not world.charged()
