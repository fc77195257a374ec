"""The circuit breaker and the limit of requests in flight, with a real client and gateways that really fail."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from proxy.errors import UpstreamError
from proxy.rewrite.message import Message
from proxy.upstream import state
from proxy.upstream.errors import UpstreamBusy, UpstreamCircuitOpen
from proxy.upstream.flight import read_answer
from tests.harness.fault_plan import Fault
from tests.harness.faulty_gateway import faulty
from tests.harness.sending import BODY, sending
from tests.harness.waiting import until

BREAKS = "retries = { attempts = 1 }\nbreaker = { failures = 3, open_seconds = 60 }\ntimeouts.first_byte = 0.4\n"
OPEN = ("upstream_circuit_open", "no")


@pytest.fixture(scope="module")
async def gateway():
    async with faulty() as made:
        yield made


class Clock:
    """The clock that circuits go by, which a test can put forward."""

    def __init__(self) -> None:
        self._forward = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._forward

    def forward(self, seconds: float) -> None:
        self._forward += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(state, "time", made)
    return made


async def _open(gateway, to, fault: Fault) -> None:
    gateway.will(always=fault)
    for _ in range(3):
        await _whatever(to)
    assert gateway.connections == 3
    assert await to.fails() == OPEN


async def _whatever(to) -> None:
    with suppress(UpstreamError):
        await to.send()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("refuse"),
        Fault("hang_before"),
        Fault("hang_after", at=120),
        Fault("cut", at=30),
        Fault("cut", at=130),
        Fault("garbage"),
        Fault("error_before", status=502),
        Fault("error_before", status=503),
        Fault("error_before", status=504),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.at}-{fault.status}",
)
async def test_failures_in_a_row_open_the_circuit(tmp_path, gateway, fault):
    async with sending(tmp_path, gateway=(gateway.url, BREAKS + "timeouts.between_bytes = 0.4")) as to:
        await _open(gateway, to, fault)
        assert gateway.connections == 3
        assert to.value("panless_upstream_circuit", upstream=gateway.url) == 2
        with pytest.raises(UpstreamCircuitOpen) as raised:
            await to.client.certificate(to.routes["gateway"])
        assert raised.value.ids["seconds"] in (59, 60)


@pytest.mark.parametrize("status", [400, 404, 429, 500])
async def test_other_answers_are_no_failures(tmp_path, gateway, status):
    async with sending(tmp_path, gateway=(gateway.url, BREAKS)) as to:
        gateway.will(always=Fault("error_before", status=status))
        assert [(await to.send())[0] for _ in range(5)] == [status] * 5


async def test_a_probe_closes_the_circuit_or_opens_it_again(tmp_path, gateway, clock):
    async with sending(tmp_path, gateway=(gateway.url, BREAKS)) as to:
        await _open(gateway, to, Fault("cut", at=0))
        clock.forward(60)
        assert await to.fails() == ("upstream_disconnected", "maybe")
        assert await to.fails() == OPEN
        gateway.will()
        clock.forward(60)
        assert to.value("panless_upstream_circuit", upstream=gateway.url) == 1
        assert (await to.send())[0] == 200
        assert to.value("panless_upstream_circuit", upstream=gateway.url) == 0
        assert (await to.send())[0] == 200


async def test_one_probe_at_a_time_and_another_one_if_it_is_cancelled(tmp_path, gateway, clock):
    async with sending(tmp_path, gateway=(gateway.url, BREAKS.replace("0.4", "30"))) as to:
        gateway.will(always=Fault("refuse"))
        await asyncio.gather(*(_whatever(to) for _ in range(3)))
        gateway.will(Fault("hang_before"))
        clock.forward(60)
        probe = asyncio.create_task(to.send())
        await until(lambda: _true(gateway.received))
        assert await to.fails() == OPEN
        probe.cancel()
        await asyncio.wait([probe])
        assert to.value("panless_upstream_in_flight", upstream=gateway.url) == 0
        assert (await to.send())[0] == 200


async def _true(value: object) -> bool:
    return bool(value)


async def test_in_flight_is_limited_until_the_body_is_read(tmp_path, gateway):
    async with sending(tmp_path, gateway=(gateway.url, "max_in_flight = 2")) as to:
        gateway.will(Fault("hang_after", at=120), Fault("hang_after", at=120))
        route, message = to.routes["gateway"], Message(BODY, path="/v1/charges")
        first = await to.client.send(route, "POST", message)
        second = await to.client.send(route, "POST", message)
        assert await to.fails() == ("upstream_busy", "no")
        with pytest.raises(UpstreamBusy):
            await to.client.certificate(route)
        assert to.value("panless_upstream_in_flight", upstream=gateway.url) == 2
        first.release()
        assert (await to.send())[0] == 200
        second.release()
        second.release()
        assert to.value("panless_upstream_in_flight", upstream=gateway.url) == 0


async def test_an_answer_that_is_read_to_its_end_leaves_by_itself(tmp_path, gateway):
    async with sending(tmp_path, gateway=(gateway.url, "")) as to:
        gateway.will()
        route = to.routes["gateway"]
        answer = await to.client.send(route, "POST", Message(BODY, path="/v1/charges"))
        assert b"succeeded" in b"".join([piece async for piece in read_answer(answer, route)])
        assert to.value("panless_upstream_in_flight", upstream=gateway.url) == 0
        answer.release()


async def test_routes_to_the_same_upstream_share_what_is_known_and_others_do_not(tmp_path, gateway):
    async with faulty() as other:
        same = {"gateway": (gateway.url, BREAKS), "same": (gateway.url + "/v2/", BREAKS), "other": (other.url, BREAKS)}
        async with sending(tmp_path, **same) as to:
            await _open(gateway, to, Fault("cut", at=0))
            assert await to.fails(route="same") == OPEN
            assert (await to.send(route="other"))[0] == 200


async def test_it_outlives_a_reload_which_makes_new_settings_count(tmp_path, gateway):
    async with sending(tmp_path, gateway=(gateway.url, BREAKS), free=(gateway.url, "breaker = { failures = 0 }")) as to:
        await _open(gateway, to, Fault("cut", at=0))
        settings = to.client._settings
        to.client = to.client.having({"gateway": settings["gateway"]})
        assert await to.fails() == OPEN
        to.client = to.client.having({"gateway": settings["free"]})
        gateway.will()
        assert (await to.send())[0] == 200
        # Who has no breaker says nothing to it.
        to.client = to.client.having({"gateway": settings["gateway"]})
        assert await to.fails() == OPEN


async def test_certificates_that_are_not_valid_and_clients_that_are_slow_open_nothing(tmp_path, gateway):
    async def never():
        yield b"{"
        await asyncio.sleep(60)

    async with sending(tmp_path, gateway=(gateway.url, BREAKS + "timeouts.whole = 0.05")) as to:
        gateway.will()
        for _ in range(4):
            assert await to.fails(body=never()) == ("upstream_whole_timeout", "maybe")
