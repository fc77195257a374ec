"""Webhooks of gateways: verified before anything else, each once, without card numbers (promises 1, 4, 5 and 11)."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from urllib.parse import quote_plus

import pytest
import standardwebhooks
import stripe

from tests.harness import gateways
from tests.harness.embedded import value
from tests.harness.hooked import CARD, OLD_STRIPE, SIGNING, event, hooked
from tests.harness.upstream import Answer
from vault.tokens import recognise


@pytest.fixture(scope="module")
async def shared(tmp_path_factory):
    async with hooked(tmp_path_factory.mktemp("hooked")) as made:
        yield made
        log = made.panless.log
        assert CARD not in log and gateways.STRIPE_SECRET not in log and "evt_" not in log


@pytest.fixture
def world(shared):
    shared.app.reset()
    return shared


def by_hmac(body: bytes) -> tuple[tuple[str, str], ...]:
    at = str(int(time.time()))
    return (("X-Sig", "v0=" + gateways.by_hmac(f"{at}.".encode() + body).hex()), ("X-Time", at))


async def refusals(world) -> list[dict]:
    return [each for each in await world.panless.events() if each["action"] == "webhook"]


async def test_a_verified_event_reaches_the_application_as_it_was_signed(world):
    body = event(world.fresh(), thing="ch_plain")
    assert await world.stripe(body) == (200, "")
    (received,) = await world.arrived("stripe")
    assert (received.body, received.target, received.method) == (body, "/in/stripe", "POST")
    header = received.header("Stripe-Signature")
    assert stripe.Webhook.construct_event(body, header, gateways.STRIPE_SECRET).id == json.loads(body)["id"]
    signed = dict(received.headers)
    assert standardwebhooks.Webhook(SIGNING).verify(received.body, signed) == json.loads(body)
    assert signed["webhook-id"].startswith("whe_")
    assert received.header("X-Forwarded-For") == "127.0.0.1"


@pytest.mark.parametrize("change", ["forged", "altered", "stale", "early", "unsigned", "twice", "malformed"])
async def test_what_is_not_right_is_refused_counted_and_recorded_and_goes_nowhere(world, change):
    now = int(time.time())
    body = event(world.fresh())
    headers = gateways.by_stripe(body, {"stale": now - 400, "early": now + 400}.get(change, now))
    code = "webhook_forged"
    match change:
        case "forged":
            headers = gateways.by_stripe(body, now, "whsec_somebody_elses")
        case "altered":
            body = body.replace(b"ch_1", b"ch_2")
        case "stale" | "early":
            code = "webhook_stale"
        case "unsigned":
            headers, code = (), "webhook_unsigned"
        case "twice":
            headers, code = headers * 2, "webhook_malformed"
        case "malformed":
            headers, code = (("Stripe-Signature", "t=1,t=2,v1=x"),), "webhook_malformed"
    counted = await world.metric(f'panless_webhooks_total{{outcome="{code}",route="stripe"}}')
    before = len(await refusals(world))
    stored = await value(world.panless.config, "SELECT count(*) FROM webhook_events")
    assert await world.post("stripe", body, headers) == (401, code)
    assert await world.metric(f'panless_webhooks_total{{outcome="{code}",route="stripe"}}') == counted + 1
    recorded = await refusals(world)
    assert len(recorded) == before + 1
    assert {key: recorded[-1][key] for key in ("outcome", "code", "route")} == {
        "outcome": "denied", "code": code, "route": "stripe",
    }  # fmt: skip
    assert await value(world.panless.config, "SELECT count(*) FROM webhook_events") == stored
    await world.quiet()
    assert len(world.app.received) == 1


async def test_verification_comes_before_everything_else(world):
    """Not even the type of a body that nobody signed is looked at."""
    url = f"{world.panless.urls['inbound']}/hooks/stripe"
    async with world.client.post(
        url, data=b"\xff\xfe{", headers={"Content-Type": "x/y", "Content-Encoding": "zstd"}
    ) as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (401, "webhook_unsigned")


@pytest.mark.parametrize("name", ["Stripe", "%73tripe", "/stripe", "stripe/", "stripe;a", "x/../stripe"])
async def test_another_spelling_of_the_path_does_not_get_past_the_route(world, name):
    """There is a route that takes everything else, and an application that may read the path in its own way."""
    status, code = await world.post(name, event(world.fresh()))
    assert (status, code) in ((400, "target_ambiguous"), (400, "target_invalid"))
    assert (await world.post("other", b"{}"))[0] == 200
    assert [each.target for each in world.app.received] == ["/hooks/other"]


async def test_both_secrets_count_during_a_rotation(world):
    for secret in (gateways.STRIPE_SECRET, OLD_STRIPE):
        assert await world.stripe(event(world.fresh(), thing=world.fresh()), secret=secret) == (200, "")
    await world.arrived("stripe", 2)


async def test_each_event_once_also_signed_anew_and_at_the_same_time(world):
    body = event(world.fresh())
    headers = gateways.by_stripe(body, int(time.time()) - 1)
    answers = await asyncio.gather(
        *(world.post("stripe", body, headers) for _ in range(20)), *(world.stripe(body) for _ in range(5))
    )
    assert set(answers) == {(200, "")}
    await world.quiet()
    assert [each.body for each in world.at("stripe")].count(body) == 1
    assert await world.metric('panless_webhooks_total{outcome="replayed",route="stripe"}') >= 24


async def test_card_numbers_become_tokens_and_the_gateways_signature_goes(world):
    body = event(world.fresh(), card=CARD, note=f"paid with {CARD}")
    assert await world.stripe(body) == (200, "")
    (received,) = await world.arrived("stripe")
    found = received.json()["data"]["object"]
    assert recognise(found["card"]) and found["note"] == f"paid with {found['card']}"
    assert CARD.encode() not in received.body
    assert received.header("Stripe-Signature") is None
    standardwebhooks.Webhook(SIGNING).verify(received.body, dict(received.headers))


async def test_a_card_number_in_the_query_or_a_header_becomes_a_token_too(world):
    body = event(world.fresh())
    headers = (*gateways.by_stripe(body, int(time.time())), ("X-Card", CARD))
    assert await world.post("stripe", body, headers, f"?card={CARD}") == (200, "")
    (received,) = await world.arrived("stripe")
    assert CARD.encode() not in received.head and recognise(received.header("X-Card"))
    assert received.target.startswith("/in/stripe?card=tok_")


async def test_a_guard_that_refuses_stores_nothing(world):
    body = event(world.fresh(), card=CARD)
    assert await world.stripe(body, "refusing") == (422, "card_number_found")
    assert await value(world.panless.config, "SELECT count(*) FROM webhook_events WHERE route = 'refusing'") == 0


async def test_what_is_stored_is_sealed(world):
    secret = f"somebody_{world.fresh()}"
    world.app.answer = Answer(status=500)
    assert await world.stripe(event(world.fresh(), thing=secret)) == (200, "")
    dump = "SELECT count(*) FROM documents WHERE position($1::bytea IN sealed) > 0".replace("$1", f"'{secret}'")
    assert await value(world.panless.config, "SELECT count(*) FROM documents") > 0
    assert await value(world.panless.config, dump) == 0
    rows = f"SELECT count(*) FROM webhook_events AS row WHERE row::text LIKE '%{secret}%'"
    assert await value(world.panless.config, rows) == 0
    world.app.answer = Answer()


class TestSchemes:
    async def test_standard_webhooks(self, world):
        body = b'{"type": "paid"}'
        headers = gateways.by_standard(body, int(time.time()), f"msg_{world.fresh()}")
        assert [await world.post("standard", body, headers) for _ in range(2)] == [(200, "")] * 2
        (received,) = await world.arrived("standard")
        assert received.header("webhook-id") == headers[0][1]
        standardwebhooks.Webhook(gateways.STANDARD_SECRET).verify(received.body, dict(received.headers))
        assert (await world.post("standard", body + b" ", headers))[0] == 401

    async def test_hmac(self, world):
        body = event(world.fresh())
        assert await world.post("hmac", body, by_hmac(body)) == (200, "")
        assert await world.post("hmac", body.replace(b"ch_1", b"ch_2"), by_hmac(body)) == (401, "webhook_forged")
        (received,) = await world.arrived("hmac")
        assert received.body == body

    async def test_adyen(self, world):
        reference = world.fresh()
        body = gateways.by_adyen(gateways.adyen_item(reference))
        url = f"{world.panless.urls['inbound']}/hooks/adyen"
        async with world.client.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            assert (answer.status, await answer.text()) == (200, "[accepted]")
        assert await world.post("adyen", body) == (200, "")
        await world.quiet()
        assert [each.body for each in world.at("adyen")] == [body]
        remembered = "SELECT string_agg(DISTINCT route, ' ' ORDER BY route) FROM webhook_events WHERE timeless"
        assert set((await value(world.panless.config, remembered)).split()) <= {"adyen", "braintree"}
        assert "adyen" in await value(world.panless.config, remembered)
        forged = gateways.by_adyen({**gateways.adyen_item("z"), "success": "false"})
        assert await world.post("adyen", forged) == (401, "webhook_forged")

    async def test_braintree(self, world):
        body = gateways.by_braintree(subject=f"sub_{world.fresh()}")
        url = f"{world.panless.urls['inbound']}/hooks/braintree"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        async with world.client.post(url, data=body, headers=form) as answer:
            assert answer.status == 200
        (received,) = await world.arrived("braintree")
        assert received.body == body
        challenge = "20f9f8ed05f77439fe955c977e4c8a53"
        async with world.client.get(f"{url}?bt_challenge={challenge}") as answer:
            expected = gateways.braintree_gateway().webhook_notification.verify(challenge)
            assert (answer.status, await answer.text()) == (200, expected)
        forged = gateways.form(expected, challenge)
        async with world.client.post(url, data=forged, headers=form) as answer:
            assert answer.headers["Panless-Error"] == "webhook_malformed"
        async with world.client.get(f"{url}?bt_challenge={quote_plus('<script>')}") as answer:
            assert answer.status == 401

    async def test_paypal_fetches_the_certificate_once_and_only_from_its_host(self, world):
        world.paypal.received.clear()
        at = f"https://localhost:{world.paypal.port}/v1/notifications/certs/CERT-1"
        for number in range(2):
            body = event(world.fresh())
            headers = world.signer.headers(
                body, time.time(), f"d938e770-8046-11e6-8103-{number:012}", **{"PAYPAL-CERT-URL": at}
            )
            assert await world.post("paypal", body, headers) == (200, "")
        assert [each.target for each in world.paypal.received] == ["/v1/notifications/certs/CERT-1"]
        assert len(await world.arrived("paypal", 2)) == 2
        elsewhere = {"PAYPAL-CERT-URL": at.replace("localhost", "127.0.0.1")}
        headers = world.signer.headers(body, time.time(), "d938e770-8046-11e6-8103-999999999999", **elsewhere)
        assert await world.post("paypal", body, headers) == (401, "webhook_forged")
        assert len(world.paypal.received) == 1

    async def test_paypal_is_asked_to_send_again_when_its_certificate_is_not_to_be_had(self, world):
        body, before = event(world.fresh()), world.paypal.answer
        at = {"PAYPAL-CERT-URL": f"https://localhost:{world.paypal.port}/v1/notifications/certs/CERT-2"}
        headers = world.signer.headers(body, time.time(), f"d938e770-8046-11e6-8103-{world.fresh():0>12}", **at)
        world.paypal.answer = Answer(status=500)
        assert await world.post("paypal", body, headers) == (503, "webhook_certificate_unavailable")
        world.paypal.answer = Answer(body=b"x" * 100_000)
        assert await world.post("paypal", body, headers) == (503, "webhook_certificate_unavailable")
        world.paypal.answer = before
        assert await world.post("paypal", body, headers) == (200, "")

    async def test_a_certificate_that_there_is_not_is_asked_for_once_and_its_webhook_forged(self, world):
        world.paypal.received.clear()
        body, before = event(world.fresh()), world.paypal.answer
        world.paypal.answer = Answer(status=404)
        at = {"PAYPAL-CERT-URL": f"https://localhost:{world.paypal.port}/v1/notifications/certs/MADE-UP"}
        headers = world.signer.headers(body, time.time(), f"d938e770-8046-11e6-8103-{world.fresh():0>12}", **at)
        assert [await world.post("paypal", body, headers) for _ in range(3)] == [(401, "webhook_forged")] * 3
        assert len(world.paypal.received) == 1
        world.paypal.answer = before


class TestPassing:
    async def test_the_application_answers_and_verifies_the_gateways_signature_itself(self, world):
        world.app.answer = Answer(status=202, body=b"thanks")
        body = event(world.fresh())
        url = f"{world.panless.urls['inbound']}/hooks/passing"
        headers = [("Content-Type", "application/json"), *gateways.by_stripe(body, int(time.time()))]
        async with world.client.post(url, data=body, headers=headers) as answer:
            assert (answer.status, await answer.read()) == (202, b"thanks")
        (received,) = world.at("passing")
        stripe.WebhookSignature.verify_header(
            received.body, received.header("Stripe-Signature"), gateways.STRIPE_SECRET
        )
        assert (await world.stripe(body, "passing"))[0] == 200
        assert len(world.at("passing")) == 1

    async def test_what_the_application_did_not_take_may_come_again(self, world):
        body = event(world.fresh())
        for status in (500, 404):
            world.app.answer = Answer(status=status)
            assert (await world.stripe(body, "passing"))[0] == status
        world.app.answer = Answer(raw=b"")
        assert (await world.stripe(body, "passing"))[0] == 502
        world.app.answer = Answer()
        assert [(await world.stripe(body, "passing"))[0] for _ in range(2)] == [200, 200]
        assert len(world.at("passing")) == 4

    async def test_two_at_once_are_not_both_passed_on(self, world):
        body = event(world.fresh())
        world.app.answer = Answer(delay=0.5)
        answers = await asyncio.gather(*(world.stripe(body, "passing") for _ in range(5)))
        assert sorted(answers) == [(200, "")] + [(503, "webhook_busy")] * 4
        assert len(world.at("passing")) == 1

    async def test_card_numbers_become_tokens_there_too_and_the_signature_goes(self, world):
        body = event(world.fresh(), card=CARD)
        assert (await world.stripe(body, "passing"))[0] == 200
        (received,) = world.at("passing")
        assert CARD.encode() not in received.body and received.header("Stripe-Signature") is None

    async def test_forged_ones_are_refused_there_too(self, world):
        assert await world.stripe(event(world.fresh()), "passing", "whsec_other") == (401, "webhook_forged")
        assert not world.app.received


def test_base64_of_the_signing_secret_is_what_it_says():
    assert base64.b64decode(SIGNING.removeprefix("whsec_")).startswith(b"signed by panless")
