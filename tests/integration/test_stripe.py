"""The preset `stripe` with Stripe's own SDK, which is told nothing but another base address and another key.

localstripe stands in for Stripe where a payment has to work; a recording upstream where the bytes count. The SDK runs
with no way out: a setting that it ignored would not reach the real gateway.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import stripe

from tests.harness import configuration
from tests.harness.cards import cards
from tests.harness.localstripe import localstripe
from tests.harness.loopback import no_way_out
from tests.harness.process import PanlessProcess, panless, serving
from tests.harness.upstream import Answer, Received, RecordingUpstream, recording

SECRET = "sk_test_dummy_of_the_gateway"
PAN = "4000056655665556"
EXPIRY = {"exp_month": 12, "exp_year": 2034}
# What differs between two connections.
HOP = {"host", "connection"}


def sdk(base: str, key: str, **options) -> stripe.StripeClient:
    """Stripe's SDK, with every one of its base addresses replaced."""
    bases = dict.fromkeys(("api", "connect", "files", "meter_events"), base)
    return stripe.StripeClient(key, base_addresses=bases, max_network_retries=0, **options)


@dataclass
class Shop:
    """Panless between a shop, localstripe (`/stripe/`) and a recording upstream (`/recorded/`)."""

    panless: PanlessProcess
    app: RecordingUpstream
    recorder: RecordingUpstream
    client: aiohttp.ClientSession
    key: str

    def url(self, route: str = "stripe") -> str:
        return f"{self.panless.urls['outbound']}/{route}"

    async def tokens(self, number: str = PAN, cvc: str = "737") -> dict[str, str]:
        """Return the card as the shop gets it: tokens only."""
        body = {"card": {"number": number, "cvc": cvc}}
        async with self.client.post(f"{self.panless.urls['inbound']}/checkout", json=body) as answer:
            assert answer.status == 200, await answer.text()
        return self.app.last.json()["card"]

    async def run(self, calls: Callable, *arguments, route: str = "stripe", key: str | None = None):
        """Let the SDK, which blocks, make `calls` in a thread."""
        return await asyncio.to_thread(calls, sdk(self.url(route), key or self.key), *arguments)


def outbound(name: str, gateway: str) -> str:
    return f"""
[[outbound]]
name = "{name}"
preset = "stripe"
path = "/{name}/"
upstream = "{gateway}/"
apps = ["shop", "leaver"]
credential = {{ secret = "env:STRIPE_SECRET_KEY" }}
"""


@pytest.fixture(scope="module")
async def shared_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with recording() as app, recording() as recorder, localstripe() as gateway:
        routes = outbound("stripe", gateway) + outbound("recorded", recorder.url)
        config = configuration.write(tmp_path_factory.mktemp("stripe"), app.url, recorder.url, extra=routes)
        async with serving(config, {"STRIPE_SECRET_KEY": SECRET}) as process, aiohttp.ClientSession() as client:
            yield Shop(process, app, recorder, client, await process.add_app("shop"))


@pytest.fixture
def shop(shared_shop: Shop) -> Shop:
    shared_shop.app.reset()
    shared_shop.recorder.reset()
    return shared_shop


@pytest.fixture(autouse=True)
def refused(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    hosts = no_way_out(monkeypatch)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    return hosts


# 192.0.2.0/24 is for documentation (RFC 5737), `.invalid` for names that are none (RFC 2606).
@pytest.mark.parametrize("host", ["192.0.2.1", "stripe.invalid"])
async def test_the_sdk_has_no_way_out(shop, refused, monkeypatch, host):
    monkeypatch.setenv("HTTP_PROXY", shop.recorder.url)
    with pytest.raises(stripe.APIConnectionError):
        await asyncio.to_thread(sdk(f"http://{host}", "sk_test_x").v1.balance.retrieve)
    assert refused == [host]
    assert shop.recorder.received == []


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
async def test_a_socket_has_no_way_out(refused, method):
    with socket.socket() as attempt:
        attempt.settimeout(1)
        with pytest.raises(ConnectionRefusedError, match="no way out"):
            getattr(attempt, method)(("192.0.2.1", 9))
    assert refused == ["192.0.2.1"]


def fingerprint(pan: str) -> str:
    """How localstripe names a card number that it got."""
    return hashlib.sha1(pan.encode(), usedforsecurity=False).hexdigest()[:16]


def save_card(client: stripe.StripeClient, card: dict[str, str]) -> stripe.PaymentMethod:
    return client.v1.payment_methods.create({"type": "card", "card": card | EXPIRY})


def pay(client: stripe.StripeClient, card: dict[str, str]) -> list[stripe.StripeObject]:
    """Save a card for a customer, charge it in two steps, and give the money back."""
    customer = client.v1.customers.create({"email": "jenny@shop.example"})
    method = save_card(client, card)
    attached = client.v1.payment_methods.attach(method.id, {"customer": customer.id})
    intents = client.v1.payment_intents
    order = {"amount": 2000, "currency": "usd", "customer": customer.id, "payment_method": method.id}
    intent = intents.create({**order, "confirm": True, "capture_method": "manual"})
    captured = intents.capture(intent.id)
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
    return [customer, method, attached, intent, captured, refund]


async def test_a_card_is_saved_charged_captured_and_refunded(shop):
    answers = await shop.run(pay, await shop.tokens(PAN))
    customer, method, attached, intent, captured, refund = answers
    assert method.card.fingerprint == fingerprint(PAN)
    assert method.card.last4 == "5556"
    assert attached.customer == customer.id
    assert intent.status == "requires_capture"
    assert (captured.status, captured.latest_charge.amount) == ("succeeded", 2000)
    assert (refund.status, refund.amount) == ("succeeded", 500)
    assert PAN not in repr(answers)


async def test_every_test_card_arrives_as_it_is(shop):
    pans = [pan for pan in cards() if len(pan) == 16]  # localstripe takes no other length
    assert len(pans) > 10
    saved = [await shop.run(save_card, await shop.tokens(pan)) for pan in pans]
    assert [each.card.fingerprint for each in saved] == [fingerprint(pan) for pan in pans]


async def test_the_asynchronous_client_of_the_sdk(shop):
    http = stripe.AIOHTTPClient()
    client = sdk(shop.url(), shop.key, http_client=http)
    card = await shop.tokens()
    method = await client.v1.payment_methods.create_async({"type": "card", "card": card | EXPIRY})
    await http.close_async()
    assert method.card.fingerprint == fingerprint(PAN)


async def test_a_declined_card_is_declined_when_it_is_saved(shop):
    with pytest.raises(stripe.CardError) as caught:
        await shop.run(pay, await shop.tokens("4000000000000002"))
    assert (caught.value.http_status, caught.value.code) == (402, "card_declined")


async def test_a_declined_card_is_declined_when_it_is_charged(shop):
    with pytest.raises(stripe.CardError) as caught:
        await shop.run(pay, await shop.tokens("4000000000000341"))
    assert (caught.value.http_status, caught.value.code) == (402, "card_declined")
    assert caught.value.json_body["error"]["charge"].startswith("ch_")


async def test_a_card_with_3d_secure_asks_for_the_next_action(shop):
    card = await shop.tokens("4000002500003155")

    def calls(client):
        order = {"amount": 2000, "currency": "eur", "payment_method": save_card(client, card).id}
        intent = client.v1.payment_intents.create(order)
        return client.v1.payment_intents.confirm(intent.id)

    intent = await shop.run(calls)
    assert intent.status == "requires_action"
    assert intent.next_action.type == "use_stripe_sdk"


async def test_customers_are_read_listed_page_by_page_and_deleted(shop):
    def calls(client):
        customers = client.v1.customers
        made = [customers.create({"email": f"{n}@shop.example"}).id for n in range(3)]
        pages = {each.id for each in customers.list({"limit": 2}).auto_paging_iter()}
        read, deleted = customers.retrieve(made[0]), customers.delete(made[0])
        with pytest.raises(stripe.InvalidRequestError) as caught:
            customers.retrieve(made[0])
        return made, pages, read, deleted, caught.value

    made, pages, read, deleted, error = await shop.run(calls)
    assert set(made) <= pages
    assert read.email == "0@shop.example"
    assert deleted.deleted is True
    assert error.http_status == 404


async def test_payment_methods_of_a_customer_are_listed(shop):
    def calls(client, card):
        customer, method, *_ = pay(client, card)
        return method, client.v1.payment_methods.list({"customer": customer.id, "type": "card"}).data

    method, listed = await shop.run(calls, await shop.tokens())
    assert [each.id for each in listed] == [method.id]
    assert listed[0].card.fingerprint == fingerprint(PAN)


def dumped_at() -> int | None:
    """When a localstripe last wrote what it holds to where its own command does."""
    dump = Path("/tmp/localstripe.pickle")  # noqa: S108
    return dump.stat().st_mtime_ns if dump.exists() else None


async def test_localstripe_keeps_nothing_on_disk(shop):
    before = dumped_at()
    await shop.run(save_card, await shop.tokens())
    assert dumped_at() == before


def basic(user: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:".encode()).decode()


def bearer(key: str) -> str:
    return f"Bearer {key}"


@pytest.mark.parametrize("slot", [bearer, basic])
async def test_the_gateway_gets_its_own_secret_in_the_slot_that_was_used(shop, slot):
    card = await shop.tokens()
    form = {"type": "card", **{f"card[{name}]": str(value) for name, value in (card | EXPIRY).items()}}
    headers = {"Authorization": slot(shop.key)}
    async with shop.client.post(f"{shop.url('recorded')}/v1/payment_methods", data=form, headers=headers) as answer:
        assert answer.status == 200
    assert shop.recorder.last.header("Authorization") == slot(SECRET)
    card = await shop.tokens()
    form |= {"card[number]": card["number"], "card[cvc]": card["cvc"]}
    async with shop.client.post(f"{shop.url()}/v1/payment_methods", data=form, headers=headers) as answer:
        assert (await answer.json())["card"]["fingerprint"] == fingerprint(PAN)


async def test_the_gateway_never_sees_the_panless_key(shop):
    await shop.run(save_card, await shop.tokens(), route="recorded")
    received = shop.recorder.last
    assert received.header("Authorization") == bearer(SECRET)
    assert shop.key.encode() not in received.head + received.body


async def test_a_verification_code_is_found_through_its_card_when_the_sdk_sends_a_placeholder(shop):
    card = await shop.tokens(cvc="987")
    await shop.run(save_card, card | {"cvc": "123"}, route="recorded")
    assert b"card[cvc]=987" in shop.recorder.last.body


async def test_a_card_number_in_an_error_of_the_gateway_does_not_reach_the_sdk(shop):
    card = await shop.tokens()
    body = f'{{"error": {{"type": "card_error", "code": "x", "message": "Card {PAN} with code 737 is bad"}}}}'
    shop.recorder.answer = Answer(402, body.encode())
    with pytest.raises(stripe.CardError) as caught:
        await shop.run(save_card, card, route="recorded")
    assert caught.value.user_message == f"Card {card['number']} with code {card['cvc']} is bad"
    assert PAN not in caught.value.http_body


async def test_the_sdk_tries_again_with_the_whole_card_after_an_error_of_the_gateway(shop):
    answers = iter([Answer(500, b"{}"), Answer()])
    shop.recorder.answer = lambda _received: next(answers)
    tokens = await shop.tokens()

    def calls(client):
        return client.v1.tokens.create({"card": tokens | EXPIRY}, {"max_network_retries": 1})

    await shop.run(calls, route="recorded")
    first, second = shop.recorder.received
    assert f"card[number]={PAN}&card[cvc]=737".encode() in first.body
    assert essence(second) == essence(first)


async def test_a_key_that_was_revoked_is_refused_and_an_unknown_one(shop):
    key = await shop.panless.add_app("leaver")
    await shop.run(save_card, await shop.tokens(), route="recorded", key=key)
    done = await panless("app", "revoke", "leaver", "-c", shop.panless.config, env=shop.panless.env)
    assert done.code == 0, done.err
    card = await shop.tokens()
    for refused_key in (key, "sk_test_unknown"):
        with pytest.raises(stripe.StripeError) as caught:
            await shop.run(save_card, card, route="recorded", key=refused_key)
        assert caught.value.http_status == 401
    assert len(shop.recorder.received) == 1


def essence(received: Received) -> tuple:
    """What the gateway gets of a request, without what belongs to the connection."""
    headers = [(name, value) for name, value in received.headers if name.lower() not in HOP]
    return received.method, received.target, headers, received.body


# Every place of the SDK where the preset expects a card, and calls with none.
CALLS = {
    "payment method": lambda v1, card, options: v1.payment_methods.create(
        {"type": "card", "card": card, "billing_details": {"name": "José +&= Ünal"}, "metadata": {"a[b]": "%41"}},
        options,
    ),
    "token": lambda v1, card, options: v1.tokens.create({"card": card}, options),
    "source": lambda v1, card, options: v1.sources.create({"type": "card", "card": card}, options),
    "charge": lambda v1, card, options: v1.charges.create(
        {"amount": 1, "currency": "usd", "source": {"object": "card", **card}}, options
    ),
    "payment intent": lambda v1, card, options: v1.payment_intents.create(
        {
            "amount": 2000,
            "currency": "usd",
            "confirm": True,
            "payment_method_data": {"type": "card", "card": card},
            "return_url": "https://shop.example/?a=b&c=[d]",
        },
        options,
    ),
    "confirmation of a payment intent": lambda v1, card, options: v1.payment_intents.confirm(
        "pi_1", {"payment_method_data": {"type": "card", "card": card}}, options
    ),
    "setup intent": lambda v1, card, options: v1.setup_intents.create(
        {"confirm": True, "payment_method_data": {"type": "card", "card": card}}, options
    ),
    "debit card for payouts": lambda v1, card, options: v1.accounts.external_accounts.create(
        "acct_1", {"external_account": {"object": "card", **card}}, options
    ),
    "code alone": lambda v1, card, options: v1.tokens.create({"cvc_update": {"cvc": card["cvc"]}}, options),
    "post without parameters": lambda v1, _card, options: v1.payment_intents.capture("pi_1", {}, options),
    "read": lambda v1, _card, options: v1.customers.retrieve("cus_1", {"expand": ["sources", "tax"]}, options),
    "list": lambda v1, _card, options: v1.customers.list({"limit": 3, "email": "a+b@shop.example"}, options),
    "delete": lambda v1, _card, options: v1.customers.delete("cus_1", {}, options),
}


@pytest.mark.parametrize("name", CALLS)
async def test_the_gateway_gets_the_same_bytes_as_without_panless(shop, name):
    call = CALLS[name]
    options = {"idempotency_key": f"order-{name.replace(' ', '-')}", "stripe_account": "acct_1"}
    card = {"number": PAN, "cvc": "737"}
    direct = sdk(shop.recorder.url, SECRET)
    await asyncio.to_thread(call, direct.v1, card | EXPIRY, options)
    tokens = await shop.tokens(**card)
    await shop.run(lambda client: call(client.v1, tokens | EXPIRY, options), route="recorded")
    without, through = shop.recorder.received
    assert essence(through) == essence(without)
