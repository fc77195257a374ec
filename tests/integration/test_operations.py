"""Asynchronous payments: kept with tokens, sent once, in order, and told truly."""

from __future__ import annotations

import asyncio
import json

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.harness.payments import SIGNED_WITH, Payments, code
from tests.harness.upstream import Answer

PAN = "4242424242424242"


@pytest.fixture
def world(paying: Payments) -> Payments:
    return paying


async def test_a_payment_is_sent_later_and_its_answer_can_be_asked_for(world):
    card = await world.tokens(PAN, "737")
    world.gateway.answer = Answer(201, b'{ "id": "ch_1" }', [("X-Gateway", "one")])
    path = await world.later("plain", card)
    told = await world.ended(path)
    assert told["status"] == "succeeded"
    assert told["answer"] == {"status": 201, "href": f"{path}/answer"}
    assert await world.ask(f"{path}/answer") == (201, b'{ "id": "ch_1" }')
    received = world.gateway.last
    assert received.json()["card"] == {"number": PAN, "cvc": "737"}
    assert received.header("Authorization") == "Bearer sk_live_the_gateways_own_secret"
    assert received.header("Prefer") is None
    assert world.key.encode() not in received.head


async def test_a_payment_that_is_refused_has_failed(world):
    world.gateway.answer = Answer(402, b'{"error": "card_declined"}')
    told = await world.ended(await world.later("plain", await world.card()))
    assert (told["status"], told["answer"]["status"]) == ("failed", 402)


async def test_what_cannot_be_sent_fails_with_its_code(world):
    path = await world.later("plain", {"number": "tok_01h455vb4pex5vsknk084sn02q"})
    told = await world.ended(path)
    assert (told["status"], told["code"], told["answer"]) == ("failed", "token_unknown", None)
    assert world.charged() == []


async def test_what_is_no_token_is_refused_at_once(world):
    headers = {"Prefer": "respond-async"}
    assert code(await world.pay("plain", {"number": PAN}, headers=headers)) == (422, "token_malformed")
    elsewhere = await world.pay("plain", await world.card(), headers=headers, body={"note": PAN})
    assert code(elsewhere) == (422, "card_number_found")
    rows = await world.sql("SELECT count(*) FROM operations WHERE state = 'pending'")
    assert rows[0][0] == 0


async def test_without_the_gateways_protection_a_doubt_is_told_as_one(world):
    world.gateway.answer = Answer(raw=b"")
    told = await world.ended(await world.later("plain", await world.card()))
    assert told["status"] == "unknown"
    assert len(world.charged()) == 1


async def test_with_it_a_payment_is_sent_again_with_the_same_key(world):
    answers = iter([Answer(raw=b""), Answer(500), Answer(body=b'{"id": "ch_9"}')])
    world.gateway.answer = lambda _received: next(answers)
    path = await world.later("keyed", await world.card())
    assert (await world.ended(path))["status"] == "succeeded"
    assert len({each.header("Idempotency-Key") for each in world.charged()}) == 1


async def test_the_same_key_is_the_same_operation(world):
    card = await world.card()
    first = await world.later("plain", card, "later-1")
    headers = {"Prefer": "respond-async"}
    status, answered, _ = await world.pay("plain", card, "later-1", headers=headers)
    assert (status, answered["Location"], answered["Idempotent-Replayed"]) == (202, first, "true")
    assert code(await world.pay("plain", card, "later-1", headers=headers, body={"amount": 1})) == (
        422,
        "idempotency_key_reused",
    )
    assert (await world.pay("plain", card, "later-1"))[1]["Location"] == first
    await world.ended(first)
    assert len(world.charged()) == 1


async def test_many_at_once_with_one_key_are_one(world):
    card = await world.card()
    paths = await asyncio.gather(*(world.later("plain", card, "later-2") for _ in range(8)))
    assert len(set(paths)) == 1
    await world.ended(paths[0])
    assert len(world.charged()) == 1


async def test_an_operation_is_for_its_own_application_alone(world):
    path = await world.later("plain", await world.card())
    for app in (world.foreign_key, "plk_nobody"):
        status, _ = await world.ask(path, app=app)
        assert status in (401, 404)
    assert (await world.ask("/operations/op_01h455vb4pex5vsknk084sn02q"))[0] == 404
    await world.ended(path)


async def test_where_it_is_not_allowed_the_preference_is_passed_over(world):
    headers = {"Prefer": "respond-async, return=minimal", "Panless-Key": world.key}
    url = f"{world.outbound}/gateway/charges"
    async with world.client.post(url, json={"card": await world.card()}, headers=headers) as answer:
        assert answer.status == 200
    assert world.gateway.last.header("Prefer") == "respond-async, return=minimal"


async def test_what_is_kept_holds_neither_cards_nor_credentials(world):
    world.gateway.answer = Answer(delay=0.3)
    path = await world.later("plain", await world.tokens("378282246310005", "1234"), body={"name": "Some Body"})
    rows = await world.sql(
        "SELECT documents::text AS row FROM documents UNION ALL SELECT operations::text FROM operations"
    )
    stored = " ".join(row["row"] for row in rows)
    for secret in ("378282246310005", "Some Body", world.key, "sk_live"):
        assert secret not in stored
        assert secret.encode().hex() not in stored
    await world.ended(path)


async def test_of_one_customers_each_waits_for_the_one_before(world):
    busy: set[str] = set()
    overlaps = []

    def answer(received):
        body = received.json()
        if body["customer"] in busy:
            overlaps.append(body)
        busy.add(body["customer"])

        async def write(writer):
            await asyncio.sleep(0.02)
            busy.discard(body["customer"])
            writer.write(Answer().bytes())

        return Answer(stream=write)

    world.gateway.answer = answer
    card = await world.card()
    paths = [
        await world.later("plain", card, body={"customer": f"cus_{n % 3}", "amount": n}, headers={}) for n in range(15)
    ]
    for path in paths:
        assert (await world.ended(path))["status"] == "succeeded"
    assert overlaps == []
    for customer in range(3):
        amounts = [each.json()["amount"] for each in world.charged() if each.json()["customer"] == f"cus_{customer}"]
        assert amounts == sorted(amounts)


async def test_a_failure_of_one_holds_up_its_customer_and_nobody_else(world):
    tries = []

    def answer(received):
        body = received.json()
        tries.append((body["customer"], body["amount"]))
        return Answer(429) if tries.count(("a", 1)) < 3 and body["amount"] == 1 else Answer()

    world.gateway.answer = answer
    card = await world.card()
    paths = [
        await world.later("plain", card, body={"customer": each, "amount": n})
        for each, n in (("a", 1), ("a", 2), ("b", 3))
    ]
    for path in paths:
        assert (await world.ended(path))["status"] == "succeeded"
    assert tries.index(("b", 3)) < tries.index(("a", 2))
    assert [each for each in tries if each[0] == "a"][-1] == ("a", 2)


async def test_pending_ones_can_be_cancelled(world):
    world.gateway.answer = Answer(429, headers=[("Retry-After", "60")])
    path = await world.later("plain", await world.card())
    while json.loads((await world.ask(path))[1])["code"] is None:
        await asyncio.sleep(0.02)
    status, body = await world.ask(path, "DELETE")
    assert (status, json.loads(body)["status"]) == (200, "cancelled")
    assert (await world.ask(path, "DELETE"))[0] == 200
    assert (await world.ask(path, "PUT"))[0] == 405


async def test_what_has_ended_cannot_be_cancelled(world):
    path = await world.later("plain", await world.card())
    await world.ended(path)
    status, body = await world.ask(path, "DELETE")
    assert (status, json.loads(body)["code"]) == (409, "operation_under_way")


@pytest.mark.parametrize(("route", "state"), [("plain", "unknown"), ("keyed", "succeeded")])
async def test_one_that_was_running_when_its_process_ended(world, route, state):
    card = await world.card()
    path = await world.later(route, card)
    await world.ended(path)
    await world.sql(
        "UPDATE operations SET state = 'running', ended_at = NULL, held_until = now() - interval '1 s' "
        "WHERE state = 'succeeded'"
    )
    told = await world.ended(path)
    assert told["status"] == state


async def test_one_that_never_got_through_is_dead_when_its_time_is_up(world):
    world.gateway.answer = Answer(429)
    path = await world.later("plain", await world.card())
    await world.sql("UPDATE operations SET begun_at = begun_at - interval '2 h' WHERE state IN ('pending', 'running')")
    told = await world.ended(path)
    assert (told["status"], told["code"]) == ("dead", "answered_429")


@pytest.mark.parametrize(("status", "state"), [(200, "succeeded"), (402, "failed")])
async def test_the_application_is_told_by_a_signed_webhook(world, status, state):
    world.gateway.answer = Answer(status)
    path = await world.later("told", await world.card())
    while not any(each.target == "/told" for each in world.app.received):
        await asyncio.sleep(0.02)
    told = next(each for each in world.app.received if each.target == "/told")
    notice = Webhook(SIGNED_WITH).verify(told.body, {name.lower(): value for name, value in told.headers})
    assert notice["type"] == f"operation.{state}"
    known = await world.ended(path)
    assert notice["data"] == known | {
        "updated_at": notice["data"]["updated_at"],
        "ended_at": notice["data"]["ended_at"],
    }
    with pytest.raises(WebhookVerificationError):
        Webhook(SIGNED_WITH).verify(told.body + b" ", {name.lower(): value for name, value in told.headers})


async def test_an_application_that_is_away_is_told_later(world):
    answers = iter([Answer(503)])
    world.app.answer = lambda received: next(answers, Answer()) if received.target == "/told" else Answer()
    await world.later("told", await world.card())
    while sum(each.target == "/told" for each in world.app.received) < 2:
        await asyncio.sleep(0.02)
    ids = {each.header("webhook-id") for each in world.app.received if each.target == "/told"}
    assert len(ids) == 1


async def test_a_gateway_that_hangs_holds_up_no_other_routes_operations(world):
    hangs = asyncio.Event()

    def answer(received):
        if received.header("Idempotency-Key") is None:
            return Answer()

        async def wait(writer):
            await hangs.wait()
            writer.write(Answer().bytes())

        return Answer(stream=wait)

    world.gateway.answer = answer
    card = await world.card()
    stuck = [await world.later("keyed", card) for _ in range(20)]
    assert (await world.ended(await world.later("plain", card)))["status"] == "succeeded"
    # Not because the others had given up meanwhile.
    assert {json.loads((await world.ask(path))[1])["code"] for path in stuck} == {None}
    hangs.set()
    for path in stuck:
        assert (await world.ended(path))["status"] == "succeeded"
