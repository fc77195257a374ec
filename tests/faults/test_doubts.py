"""Charges of which somebody may be in doubt: two Panless over one database, one of them killed or stopped; answers that
say less than they seem to (promise 10).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from contextlib import asynccontextmanager, suppress

import pytest

from tests.harness.charging import PAN, Charging, charging, request_id
from tests.harness.fault_plan import Fault
from tests.harness.process import PanlessProcess
from tests.harness.tripwire import Trap
from tests.harness.upstream import Answer

numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def shared(tmp_path_factory):
    async with charging(tmp_path_factory.mktemp("doubts")) as made:
        yield made


@pytest.fixture
async def world(shared):
    for gateway in shared.gateways.values():
        gateway.plan.give(())
    shared.wire.trap = None
    await shared.alive()
    yield shared
    shared.app.answer = Answer()


@pytest.fixture
def amount() -> int:
    return 7000 + next(numbers)


@asynccontextmanager
async def beside(world: Charging):
    """Another Panless over the same database, as the same shop sees it."""
    config = world.panless.config.with_name("second.toml")
    config.write_text(world.panless.config.read_text())
    other = await PanlessProcess(config).start()
    first, world.panless = world.panless, other
    try:
        yield first, other
    finally:
        with suppress(ProcessLookupError):
            os.kill(first.pid, signal.SIGCONT)  # whatever a test did: the next one finds it running
        world.panless = first
        await other.kill()


def code(answer: tuple[int, dict, bytes]) -> tuple[int, str]:
    return answer[0], answer[1].get("Panless-Error", "")


async def soon(awaited):
    """Wait for what comes within 30 seconds; a test that waits longer has failed."""
    return await asyncio.wait_for(awaited, 30)


async def ended(world: Charging, path: str, but: str = "") -> str:
    """Wait until an operation has ended, `but` in another state than that; return its state."""
    return await soon(_ended(world, path, but))


async def _ended(world: Charging, path: str, but: str) -> str:
    while True:
        status, body = await world.ask(path)
        assert status == 200, body
        if (state := json.loads(body)["status"]) not in ("pending", "running", but):
            return state
        await world.hurry()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(("route", "second"), [("plain", (409, "outcome_unknown")), ("keyed", (200, ""))])
async def test_of_two_that_race_for_a_key_the_one_that_had_it_is_killed(world, amount, route, second):
    key = f"raced-{amount}-x"
    gateway = world.gateways[route == "keyed"]
    gateway.plan.give((Fault("hang_after"),))
    hangs = asyncio.Event()

    async def hanging() -> None:
        hangs.set()

    gateway.hanging = hanging
    async with beside(world) as (first, other):
        both = (first, other)
        racing = [asyncio.create_task(world.pay(route, key, amount, at=each)) for each in both]
        await soon(hangs.wait())
        await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
        (lost,) = [number for number, task in enumerate(racing) if task.done()]
        assert code(racing[lost].result()) == (409, "request_running")
        await both[1 - lost].kill()
        await asyncio.gather(*racing, return_exceptions=True)
        world.panless = both[lost]
        assert code(await world.pay(route, key, amount)) == (409, "request_running")
        await world.lapse()
        assert code(await world.pay(route, key, amount)) == second
        assert len(world.charges(amount)) == 1
        world.panless = other


def stops(world: Charging, process: PanlessProcess, key: str) -> Trap:
    """Stop a process when what it reveals is being recorded: it has the key, and has sent nothing."""

    async def stop() -> None:
        os.kill(process.pid, signal.SIGSTOP)

    def is_event(piece: bytes) -> bool:
        about = request_id(key).encode()
        return about in piece and key.encode() not in piece.replace(about, b"")

    world.wire.trap = Trap(is_event, "pass", stop)
    return world.wire.trap


@pytest.mark.parametrize(("route", "second"), [("plain", (409, "outcome_unknown")), ("keyed", (200, ""))])
async def test_one_that_was_stopped_for_long_goes_on_while_another_has_taken_over(world, amount, route, second):
    key = f"stopped-{amount}-x"
    async with beside(world) as (first, _other):
        trap = stops(world, first, key)
        sending = asyncio.create_task(world.pay(route, key, amount, at=first))
        await soon(trap.met.wait())
        await world.lapse()
        assert code(await world.pay(route, key, amount)) == second
        os.kill(first.pid, signal.SIGCONT)
        answer = await sending
        assert answer[0] == 200
        again = await world.pay(route, key, amount)
        assert (again[0], again[2], again[1]["Idempotent-Replayed"]) == (200, answer[2], "true")
        assert len(world.charges(amount)) == 1


@pytest.mark.parametrize("route", ["plain", "keyed"])
async def test_an_operation_that_was_given_up_meanwhile_ends_as_it_did(world, amount, route):
    key = f"operated-{amount}-x"
    trap = stops(world, world.panless, key)
    status, headers, _ = await world.pay(route, key, amount, later=True)
    assert status == 202
    await soon(trap.met.wait())
    async with beside(world) as (first, _other):  # only now: either could have taken the operation
        await world.lapse()
        assert await ended(world, headers["Location"]) == ("unknown" if route == "plain" else "succeeded")
        os.kill(first.pid, signal.SIGCONT)
        assert await ended(world, headers["Location"], but="unknown") == "succeeded"
        assert len(world.charges(amount)) == 1


@pytest.mark.long
async def test_one_that_was_stopped_for_longer_than_it_holds_a_key_sends_nothing_any_more(world, amount):
    """An operator has looked, and said truly that there is no charge; the application has paid anew."""
    key = f"settled-{amount}-x"
    async with beside(world) as (first, other):
        trap = stops(world, first, key)
        sending = asyncio.create_task(world.pay("plain", key, amount, at=first))
        await soon(trap.met.wait())
        await asyncio.sleep(16)
        assert code(await world.pay("plain", key, amount)) == (409, "outcome_unknown")
        settled = await other.command("idempotency", "settle", "shop", "plain", key, "--did-not")
        assert settled.code == 0, settled.err
        assert (await world.pay("plain", key, amount))[0] == 200
        os.kill(first.pid, signal.SIGCONT)
        assert (await sending)[0] == 503
        assert len(world.charges(amount)) == 1


async def test_a_gateway_that_is_busy_at_the_second_attempt_may_have_taken_the_first(world, amount):
    gateway = world.gateways[True]
    gateway.plan.give((Fault("cut"),), always=Fault("too_many", seconds=60))
    key = f"busy-{amount}-x"
    assert (await world.pay("keyed", key, amount))[0] == 429
    assert len(world.charges(amount)) == 1
    assert code(await world.pay("keyed", key, amount + 500)) == (422, "idempotency_key_reused")
    gateway.plan.give(())
    assert (await world.pay("keyed", key, amount))[0] == 200
    assert len(world.charges(amount)) == 1


async def test_and_such_an_operation_cannot_be_cancelled(world, amount):
    gateway = world.gateways[True]
    gateway.plan.give((Fault("cut"),), always=Fault("too_many", seconds=60))
    _, headers, _ = await world.pay("keyed", f"cancelled-{amount}-x", amount, later=True)
    while not world.charges(amount) or "answered_429" not in str(await world.ask(headers["Location"])):
        await asyncio.sleep(0.02)
    assert (await world.ask(headers["Location"], "DELETE"))[0] == 409
    assert len(world.charges(amount)) == 1
    gateway.plan.give(())
    assert await ended(world, headers["Location"]) == "succeeded"


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_at_the_door_says_nothing_of_an_earlier_attempt(world, amount, status):
    gateway = world.gateways[True]
    faults = (Fault("cut"), Fault("error_before", status=status))
    gateway.plan.give(faults)
    _, headers, _ = await world.pay("keyed", f"door-{amount}-x", amount, later=True)
    assert await ended(world, headers["Location"]) == "succeeded"
    gateway.plan.give(faults)
    assert (await world.pay("keyed", f"door-now-{amount}-x", amount + 500))[0] == status
    assert (await world.pay("keyed", f"door-now-{amount}-x", amount + 500))[0] == 200
    assert len(world.charges(amount)) == len(world.charges(amount + 500)) == 1


async def test_a_redirection_is_no_success(world, amount):
    world.gateways[False].plan.give((Fault("error_before", status=302),))
    _, headers, _ = await world.pay("plain", f"redirected-{amount}-x", amount, later=True)
    assert await ended(world, headers["Location"]) == "unknown"


async def test_a_code_that_is_gone_leaves_in_doubt_what_was_sent_with_it(world, amount):
    async with world.client.post(
        world.panless.urls["inbound"] + "/checkout", json={"card": {"number": PAN, "cvc": "737"}}
    ) as answer:
        assert answer.status == 200
    world.gateways[True].plan.give((Fault("cut"),) * 3)
    card, key = world.app.last.json()["card"], f"code-{amount}-x"
    assert code(await world.pay("keyed", key, amount, card=card)) == (502, "upstream_disconnected")
    await world.sql("DELETE FROM cvc_leases")
    for _ in range(2):
        assert code(await world.pay("keyed", key, amount, card=card)) == (409, "outcome_unknown")
    assert len(world.charges(amount)) == 1


async def test_an_answer_that_cannot_be_passed_on_does_not_ask_for_another_charge(world, amount):
    """The gateway has charged; its answer has a card number, and the database is away."""

    def answer(_received) -> Answer:
        about = request_id(f"echo-{amount}").encode()
        world.wire.trap = Trap(lambda piece: about in piece, "cut")
        return Answer(body=b'{"card": "5555555555554444"}')

    world.app.answer = answer
    status, headers, body = await world.pay("echo", None, amount, about=f"echo-{amount}")
    told = json.loads(body)
    assert (status, headers["Panless-Error"], told["reached_upstream"]) == (502, "answer_withheld", "yes")
    assert "safe" not in told["detail"]
