"""A real client before a faulty gateway: what is repeated, what never is, and what errors say of it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from proxy.errors import BodyIncomplete, UpstreamError
from proxy.rewrite.message import Message
from proxy.upstream.errors import UpstreamDisconnected
from proxy.upstream.shown import Expected
from tests.harness.fault_plan import Fault, drawn
from tests.harness.faulty_gateway import faulty
from tests.harness.sending import BODY, QUICK, sending
from tests.harness.upstream import Answer, recording
from vault.errors import StoreError

HEAD = len(b"HTTP/1.1 200 Status\r\n")


@pytest.fixture(scope="module")
async def gateway():
    async with faulty(idempotent=False) as made:
        yield made


@pytest.fixture
async def to(tmp_path, gateway):
    """A client of its own for each test: a budget and a breaker that are fresh."""
    quick = "timeouts = { first_byte = 0.4, between_bytes = 0.4 }\n" + QUICK
    once = "timeouts = { first_byte = 0.4 }\nretries = { attempts = 1 }"
    async with sending(tmp_path, gateway=(gateway.url, quick), once=(gateway.url, once)) as made:
        yield made


UNSAFE = [
    Fault("reset_request", at=10),
    Fault("reset_request", at=200),
    Fault("hang_before"),
    Fault("hang_after", at=5),
    Fault("reset_answer", at=0),
    Fault("reset_answer", at=HEAD),
    Fault("cut", at=0),
    Fault("cut", at=30),
    Fault("garbage"),
]


@pytest.mark.parametrize("fault", UNSAFE, ids=lambda fault: f"{fault.kind}-{fault.at}")
async def test_what_may_have_been_sent_is_not_repeated_without_safety(gateway, to, fault):
    gateway.will(fault)
    code, reached = await to.fails()
    assert reached == "maybe", code
    assert gateway.connections == 1
    assert len(gateway.ledger.charges) <= 1


@pytest.mark.parametrize("fault", UNSAFE, ids=lambda fault: f"{fault.kind}-{fault.at}")
async def test_it_is_repeated_where_a_key_protects_it(gateway, to, fault):
    gateway.ledger.idempotent = True
    try:
        gateway.will(fault)
        status, body = await to.send(key="k1")
        assert (status, gateway.connections) == (200, 2)
        assert b'"last4": "4242"' in body
        assert gateway.ledger.per_key() == {"k1": 1}
    finally:
        gateway.ledger.idempotent = False


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_answers_that_ask_for_it_are_repeated_only_where_that_is_safe(gateway, to, status):
    fault = Fault("error_before", status=status)
    gateway.will(fault)
    assert (await to.send())[0] == status
    assert gateway.connections == 1
    gateway.will(fault, fault)
    assert (await to.send(key="k2"))[0] == 200
    assert gateway.connections == 3
    gateway.will(fault)
    assert (await to.send("GET"))[0] == 200
    assert gateway.connections == 2


@pytest.mark.parametrize("status", [400, 402, 409, 500, 501])
async def test_other_answers_are_not_repeated(gateway, to, status):
    gateway.will(Fault("error_before", status=status))
    assert (await to.send(key="k3"))[0] == status
    assert gateway.connections == 1


async def test_attempts_are_counted_and_the_last_answer_is_passed_on(gateway, to):
    gateway.will(always=Fault("error_before", status=502))
    assert (await to.send(key="k4"))[0] == 502
    assert gateway.connections == 3
    gateway.will(always=Fault("hang_before"))
    assert await to.fails(key="k5", route="once") == ("upstream_first_byte_timeout", "maybe")
    assert gateway.connections == 1


async def test_retry_after_in_seconds_and_as_a_date(gateway, to):
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=60), usegmt=True)
    gateway.will(Fault("too_many", seconds=0), Fault("too_many", status=503, date=past))
    assert (await to.send(key="k6"))[0] == 200
    assert gateway.connections == 3


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_beyond_the_deadline_gives_the_answer_as_it_is(gateway, to, status):
    gateway.will(Fault("too_many", status=status, seconds=31))
    assert (await to.send(key="k7"))[0] == status
    far = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
    gateway.will(Fault("too_many", status=status, date=far))
    assert (await to.send(key="k7"))[0] == status
    assert gateway.connections == 1


async def test_a_retry_after_beyond_the_whole_gives_the_answer_as_it_is(gateway, tmp_path):
    gateway.will(Fault("too_many", seconds=5))
    async with sending(tmp_path, gateway=(gateway.url, "timeouts.whole = 5")) as to:
        assert (await to.send(key="k10"))[0] == 429
    assert gateway.connections == 1


async def test_retries_have_a_budget(gateway, to):
    gateway.will(always=Fault("error_before", status=502))
    for _ in range(8):  # less than the breaker's failures in a row: each third attempt is a request
        await to.send(key="k8")
        gateway.will(always=Fault("error_before", status=500))
        await to.send(key="k8")
        gateway.will(always=Fault("error_before", status=502))
    assert to.value("panless_upstream_retries_total", route="gateway") <= 11
    assert to.value("panless_upstream_retries_refused_total", route="gateway") >= 2


async def test_a_gateway_that_comes_back_is_met_by_the_retry(gateway, to):
    made = []

    def message() -> Message:
        made.append(len(made))
        return Message(BODY, path="/v1/charges", headers=(("X-Nonce", str(len(made))),))

    gateway.will(Fault("error_before", status=503))
    async with await to.client.send(to.routes["gateway"], "POST", message, protected=True) as answer:
        assert answer.status == 200
    # It is made anew each time: a signature has a time and a nonce.
    assert [each.headers["x-nonce"] for each in gateway.received] == ["1", "2"]


async def test_the_error_of_several_attempts_is_true_of_all(gateway, to):
    gateway.will(Fault("cut", at=0))

    def refuses() -> Message:
        if gateway.connections:
            gateway.refuse()
        return Message(BODY, path="/v1/charges")

    try:
        with pytest.raises(UpstreamDisconnected) as raised:
            await to.client.send(to.routes["gateway"], "POST", refuses, protected=True)
        assert raised.value.reached == "maybe"
    finally:
        await gateway.listen_again()


async def test_an_error_of_ours_does_not_hide_that_an_earlier_attempt_was_sent(gateway, to):
    gateway.will(Fault("error_before", status=503))

    def fails_later() -> Message:
        if gateway.connections:
            raise StoreError
        return Message(BODY, path="/v1/charges")

    with pytest.raises(UpstreamDisconnected) as raised:
        await to.client.send(to.routes["gateway"], "POST", fails_later, protected=True)
    assert raised.value.reached == "yes"


async def test_a_body_that_streams_is_not_repeated_once_a_piece_was_taken(gateway, to):
    async def pieces():
        yield BODY

    gateway.will(Fault("cut", at=0))
    assert (await to.fails(key="k9", body=pieces()))[1] == "maybe"
    assert gateway.connections == 1
    gateway.refuse()
    try:
        # Nothing was taken: it is tried again.
        assert await to.fails(body=pieces()) == ("upstream_unreachable", "no")
        assert to.value("panless_upstream_retries_total", route="gateway") == 2
    finally:
        await gateway.listen_again()


async def test_a_client_that_breaks_off_its_body_is_no_failure_of_the_upstream(gateway, to):
    async def breaks():
        yield b"{"
        raise BodyIncomplete

    gateway.will()
    for _ in range(11):
        with pytest.raises(BodyIncomplete):
            await to.send(body=breaks())
    assert (await to.send())[0] == 200


async def test_nothing_is_repeated_behind_our_back(tmp_path):
    """aiohttp repeats idempotent requests on a connection that breaks; each of our attempts is one request."""
    async with recording() as upstream, sending(tmp_path, gateway=(upstream.url, "retries = { attempts = 1 }")) as to:
        assert (await to.send("GET"))[0] == 200
        upstream.answer = Answer(raw=b"")
        assert await to.fails("GET") == ("upstream_disconnected", "maybe")
        assert len(upstream.received) == 2


async def test_an_expected_certificate_is_no_concern_of_plain_http(gateway, to):
    async def told(_certificate: str) -> None:
        raise AssertionError

    gateway.will()
    assert (await to.send(certificate=Expected("00", told)))[0] == 200


async def test_a_key_is_charged_once_whatever_goes_wrong_at_each_attempt(gateway, tmp_path):
    chance = random.Random(6)  # noqa: S311
    settings = QUICK.replace("}", ", budget = 1 }\n") + "breaker = { failures = 0 }"
    gateway.ledger.idempotent = True
    try:
        async with sending(tmp_path, gateway=(gateway.url, settings)) as to:
            for number in range(80):
                faults = [fault for _ in range(3) if not (fault := drawn(chance, share=0.8)).kind.startswith("hang")]
                gateway.will(*faults)
                try:
                    status, reached = (await to.send(key=f"k{number}"))[0], "yes"
                except UpstreamError as error:
                    status, reached = 0, error.reached
                charges = len(gateway.ledger.charges)
                assert charges <= 1, (number, faults)
                assert status != 200 or charges == 1, (number, faults)
                assert reached != "no" or charges == 0, (number, faults)
    finally:
        gateway.ledger.idempotent = False
