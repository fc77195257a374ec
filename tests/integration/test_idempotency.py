"""One idempotency key, one effect (promise 10)."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from tests.harness.payments import Payments, code
from tests.harness.upstream import Answer

PAN = "4242424242424242"
numbers = itertools.count()


@pytest.fixture
def world(paying: Payments) -> Payments:
    return paying


@pytest.fixture
def key() -> str:
    return f"order-{next(numbers)}"


def _apart_from_the_request(answer: tuple[int, dict, bytes]) -> dict[str, str]:
    return {name: value for name, value in answer[1].items() if name.lower() not in ("x-request-id", "date")}


async def test_a_later_request_gets_the_stored_answer_byte_for_byte(world, key):
    card = await world.card(PAN)
    headers = [("Content-Type", "application/json"), ("X-Gateway", "one"), ("X-Gateway", "two")]
    world.gateway.answer = Answer(201, b'{ "id": "ch_1",\n "amount" : 1e2 }', headers)
    first = await world.pay("plain", card, key)
    world.gateway.answer = Answer(200, b'{"id": "ch_2"}')
    again = await world.pay("plain", card, key)
    assert (again[0], again[2]) == (first[0], first[2]) == (201, b'{ "id": "ch_1",\n "amount" : 1e2 }')
    assert _apart_from_the_request(again) == _apart_from_the_request(first) | {"Idempotent-Replayed": "true"}
    assert len(world.charged()) == 1


async def test_the_key_reaches_the_gateway(world, key):
    await world.pay("keyed", await world.card(PAN), key)
    assert world.gateway.last.header("Idempotency-Key") == key


@pytest.mark.parametrize("change", [{"amount": 101}, {"more": 1}])
async def test_the_same_key_with_another_request_is_refused(world, key, change):
    card = await world.card(PAN)
    await world.pay("keyed", card, key)
    assert code(await world.pay("keyed", card, key, body=change)) == (422, "idempotency_key_reused")
    assert len(world.charged()) == 1


async def test_another_card_is_another_request(world, key):
    await world.pay("keyed", await world.card(PAN), key)
    other = await world.pay("keyed", await world.card("5555555555554444"), key)
    assert code(other) == (422, "idempotency_key_reused")


async def test_a_request_is_known_by_the_token_whatever_stands_for_the_code(world, key):
    card = await world.tokens(PAN, "737")
    await world.pay("plain", {"number": card["number"], "cvc": "000"}, key)
    status, answered, _ = await world.pay("plain", {"number": card["number"], "cvc": "111"}, key)
    assert (status, answered.get("Idempotent-Replayed")) == (200, "true")


async def test_keys_of_two_applications_are_apart(world, key):
    await world.pay("plain", await world.card(PAN), key)
    foreign = await world.tokens(PAN, None, path="/other/checkout")
    status, answered, _ = await world.pay("plain", foreign, key, app=world.foreign_key)
    assert (status, "Idempotent-Replayed" in answered) == (200, False)
    assert len(world.charged()) == 2


async def test_keys_of_two_routes_are_apart(world, key):
    card = await world.card(PAN)
    await world.pay("plain", card, key)
    await world.pay("keyed", card, key)
    assert len(world.charged()) == 2


async def test_of_many_at_once_one_runs(world, key):
    card = await world.card(PAN)
    world.gateway.answer = Answer(delay=0.5)
    answers = await asyncio.gather(*(world.pay("plain", card, key) for _ in range(8)))
    assert sorted(status for status, _, _ in answers) == [200] + [409] * 7
    refused = [code(each) for each in answers if each[0] == 409]
    assert set(refused) == {(409, "request_running")}
    assert len(world.charged()) == 1


async def test_where_it_is_configured_the_others_wait_for_the_answer(world, key):
    card = await world.card(PAN)
    world.gateway.answer = Answer(delay=0.5)
    answers = await asyncio.gather(*(world.pay("patient", card, key) for _ in range(8)))
    assert [status for status, _, _ in answers] == [200] * 8
    assert len({body for _, _, body in answers}) == 1
    assert len(world.charged()) == 1


async def test_a_request_that_was_refused_leaves_its_key_free(world, key):
    status, _, _ = await world.pay("plain", {"number": "tok_01h455vb4pex5vsknk084sn02q"}, key)
    assert status == 404
    assert (await world.pay("plain", await world.card(PAN), key))[0] == 200


async def test_a_gateway_that_is_busy_has_not_taken_it(world, key):
    card = await world.card(PAN)
    world.gateway.answer = Answer(429)
    assert (await world.pay("plain", card, key))[0] == 429
    world.gateway.answer = Answer()
    status, answered, _ = await world.pay("plain", card, key)
    assert (status, "Idempotent-Replayed" in answered) == (200, False)


async def test_what_may_have_happened_is_reported_and_not_sent_again(world, key):
    card = await world.card(PAN)
    world.gateway.answer = Answer(raw=b"")
    status, _, _ = await world.pay("plain", card, key)
    assert status == 502
    sent = len(world.charged())
    world.gateway.answer = Answer()
    assert code(await world.pay("plain", card, key)) == (409, "outcome_unknown")
    assert len(world.charged()) == sent == 1


async def test_it_is_sent_again_where_the_gateway_honours_the_key(world, key):
    card = await world.card(PAN)
    world.gateway.answer = Answer(500)
    assert (await world.pay("keyed", card, key))[0] == 500
    world.gateway.answer = Answer()
    status, answered, _ = await world.pay("keyed", card, key)
    assert (status, "Idempotent-Replayed" in answered) == (200, False)
    assert {each.header("Idempotency-Key") for each in world.charged()} == {key}
    assert (await world.pay("keyed", card, key))[1]["Idempotent-Replayed"] == "true"


async def test_a_failure_of_a_gateway_that_honours_no_key_is_kept(world, key):
    card = await world.card(PAN)
    world.gateway.answer = Answer(503, b"later")
    assert (await world.pay("plain", card, key))[0] == 503
    world.gateway.answer = Answer()
    status, answered, body = await world.pay("plain", card, key)
    assert (status, body, answered["Idempotent-Replayed"]) == (503, b"later", "true")
    assert len(world.charged()) == 1
    [row] = await world.sql("SELECT state FROM idempotency WHERE key = $1", key)
    assert row["state"] == "unknown"


async def test_a_payment_that_was_under_way_when_its_process_ended_is_unknown(world, key):
    card = await world.card(PAN)
    await world.pay("plain", card, key)
    # As kill -9 leaves it, a while later.
    await world.sql(
        "UPDATE idempotency SET state = 'running', answer = NULL, held_until = now() - interval '1 s' WHERE key = $1",
        key,
    )
    assert code(await world.pay("plain", card, key)) == (409, "outcome_unknown")
    assert len(world.charged()) == 1
    [row] = await world.sql("SELECT state FROM idempotency WHERE key = $1", key)
    assert row["state"] == "unknown"


async def test_and_is_sent_again_where_the_gateway_honours_its_key(world, key):
    card = await world.card(PAN)
    await world.pay("keyed", card, key)
    await world.sql(
        "UPDATE idempotency SET state = 'running', answer = NULL, held_until = now() - interval '1 s' WHERE key = $1",
        key,
    )
    assert (await world.pay("keyed", card, key))[0] == 200
    assert [each.header("Idempotency-Key") for each in world.charged()] == [key, key]


async def test_a_key_is_forgotten_when_its_time_is_up(world, key):
    card = await world.card(PAN)
    await world.pay("plain", card, key)
    await world.sql("UPDATE idempotency SET expires_at = now() - interval '1 s' WHERE key = $1", key)
    status, answered, _ = await world.pay("plain", card, key, body={"amount": 7})
    assert (status, "Idempotent-Replayed" in answered) == (200, False)


async def test_where_the_application_sends_none_the_gateway_gets_one_of_ours(world):
    card = await world.card(PAN)
    await world.pay("keyed", card)
    await world.pay("keyed", card)
    made = [each.header("Idempotency-Key") for each in world.charged()]
    assert all(made) and len(set(made)) == 2
    await world.pay("plain", card)
    assert world.gateway.last.header("Idempotency-Key") is None


async def test_a_key_in_the_body_is_one_too(world, key):
    card = await world.card(PAN)
    for _ in range(2):
        status, answered, _ = await world.pay("body", card, body={"idempotency_key": key})
        assert status == 200
    assert answered["Idempotent-Replayed"] == "true"
    assert world.gateway.last.json()["idempotency_key"] == key
    assert len(world.charged()) == 1


async def test_a_route_can_insist_on_keys(world):
    card = await world.card(PAN)
    assert code(await world.pay("strict", card)) == (400, "idempotency_key_missing")
    assert world.charged() == []


@pytest.mark.parametrize("bad", ["two words", "x" * 256, PAN, "plk_0123456789abcdef0"])
async def test_what_cannot_be_a_key_is_refused(world, bad):
    assert code(await world.pay("plain", await world.card(PAN), bad)) == (400, "idempotency_key_invalid")
    assert world.charged() == []


async def test_two_keys_are_none(world):
    headers = [("Panless-Key", world.key), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    async with world.client.post(f"{world.outbound}/plain/charges", json={}, headers=headers) as answer:
        assert (await answer.json())["code"] == "idempotency_key_invalid"


async def test_reading_needs_no_key_and_keeps_nothing(world, key):
    for _ in range(2):
        headers = {"Panless-Key": world.key, "Idempotency-Key": key}
        async with world.client.get(f"{world.outbound}/plain/charges", headers=headers) as answer:
            assert "Idempotent-Replayed" not in answer.headers
    assert len(world.charged()) == 2


async def test_nothing_readable_is_stored(world, key):
    card = await world.tokens("378282246310005", "1234")
    world.gateway.answer = lambda received: Answer(body=json.dumps(received.json() | {"email": "a@b.example"}).encode())
    _, _, body = await world.pay("plain", card, key, body={"name": "Some Body"})
    assert b"378282246310005" not in body
    rows = await world.sql(
        "SELECT idempotency::text AS row FROM idempotency UNION ALL SELECT documents::text FROM documents"
    )
    stored = " ".join(row["row"] for row in rows)
    assert "378282246310005" not in stored
    for secret in ("Some Body", "a@b.example", card["number"]):
        assert secret.encode().hex() not in stored
        assert secret not in stored


async def test_an_answer_without_a_body_is_an_answer(world, key):
    card = await world.card(PAN)
    world.gateway.answer = Answer(204, raw=b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n")
    first = await world.pay("plain", card, key)
    again = await world.pay("plain", card, key)
    assert (first[0], first[2]) == (again[0], again[2]) == (204, b"")
    assert again[1]["X-A"] == "b"


async def test_a_token_of_limited_use_is_used_once_by_a_payment_that_is_sent_again(world, key):
    card = await world.tokens(PAN, None, path="/once")
    world.gateway.answer = Answer(500)
    assert (await world.pay("keyed", card, key))[0] == 500
    world.gateway.answer = Answer()
    assert (await world.pay("keyed", card, key))[0] == 200
    assert code(await world.pay("keyed", card, f"{key}-other")) == (410, "token_expired")
