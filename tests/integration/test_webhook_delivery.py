"""Events on their way to the application: again and again, in order, through crashes, by whoever lives (promise 11)."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest
import standardwebhooks

from tests.harness.embedded import value
from tests.harness.hooked import SIGNING, event, hooked
from tests.harness.process import PanlessProcess, panless
from tests.harness.upstream import Answer
from tests.harness.waiting import until
from vault.tokens import type_id, uuid7

OTHER_SIGNING = "whsec_" + "YW5vdGhlciBzZWNyZXQsIHdoaWNoIGlzIG5ldyBub3c="


@pytest.fixture(scope="module")
async def shared(tmp_path_factory):
    async with hooked(tmp_path_factory.mktemp("delivery")) as made:
        made.text = made.panless.config.read_text()
        yield made


@pytest.fixture
async def world(shared):
    shared.app.reset()
    yield shared
    shared.app.answer = Answer()


def ids(world) -> list[str]:
    return [each.json()["id"] for each in world.at("stripe")]


async def settled(world) -> None:
    async def nothing_pending() -> bool:
        sql = "SELECT count(*) FROM webhook_events WHERE state = 'pending'"
        return await value(world.panless.config, sql) == 0

    await until(nothing_pending)


async def test_an_application_that_is_down_gets_its_events_when_it_is_back(world):
    statuses = iter([500, 503, 302])
    world.app.answer = lambda _: Answer(status=next(statuses, 200))
    number = world.fresh()
    assert await world.stripe(event(number, thing=number)) == (200, "")
    received = await world.arrived("stripe", 4)
    assert len({each.body for each in received}) == 1
    assert len({each.header("webhook-id") for each in received}) == 1
    for each in received:
        standardwebhooks.Webhook(SIGNING).verify(each.body, dict(each.headers))
    await settled(world)
    (listed,) = [each for each in await world.listed() if each["id"] == received[0].header("webhook-id")]
    assert (listed["state"], listed["attempts"], listed["status"]) == ("delivered", 4, 200)
    assert await world.metric('panless_webhook_deliveries_total{outcome="failed",route="stripe"}') >= 3


async def test_events_of_one_object_arrive_in_order_and_others_pass_them(world):
    failing = iter([500, 500])
    first = world.fresh()

    def answer(received):
        is_first = first.encode() in received.body
        return Answer(status=next(failing, 200) if is_first else 200)

    world.app.answer = answer
    numbers = [first, *(world.fresh() for _ in range(3))]
    for number in numbers:
        assert await world.stripe(event(number, thing="ch_ordered")) == (200, "")
    free = world.fresh()
    assert await world.stripe(event(free, thing="ch_free")) == (200, "")
    await world.arrived("stripe", 7)
    got = ids(world)
    assert [each for each in got if each != f"evt_{free}"] == [f"evt_{each}" for each in [first, first, *numbers]]
    assert got.index(f"evt_{free}") < got.index(f"evt_{numbers[1]}")


async def test_a_dead_event_lets_the_others_go_on_and_can_be_replayed(world):
    """Its time is up at once: an operator sees a code, and no payload."""
    dead, after = world.fresh(), world.fresh()
    world.app.answer = lambda received: Answer(status=500 if dead.encode() in received.body else 200)
    assert await world.stripe(event(dead, thing="ch_dead")) == (200, "")
    assert await world.stripe(event(after, thing="ch_dead")) == (200, "")
    await world.arrived("stripe", 1)
    done = "UPDATE webhook_events SET deliver_until = now() WHERE state = 'pending' RETURNING 1"
    await value(world.panless.config, done)
    await until(lambda: _is_there(world, after))
    (listed,) = await world.listed("--state", "dead", "--route", "stripe")
    assert (listed["code"], listed["status"], listed["can_be_replayed"]) == ("application_refused", 500, True)
    assert dead not in json.dumps(listed)
    shown = await world.panless.command("webhooks", "show", listed["id"])
    assert shown.code == 0 and "application_refused" in shown.out and dead not in shown.out
    world.app.reset()
    replayed = await world.panless.command("webhooks", "replay", listed["id"])
    assert (replayed.code, "1 to be delivered" in replayed.out) == (0, True)
    (received,) = await world.arrived("stripe")
    assert received.header("webhook-id") == listed["id"] and dead.encode() in received.body
    (told,) = [each for each in await world.panless.events() if each["action"] == "webhooks.replay"]
    assert told["destination"] == listed["id"] and told["outcome"] == "permitted"
    await settled(world)


async def _is_there(world, number: str) -> bool:
    return f"evt_{number}" in ids(world)


async def test_a_panless_that_is_killed_loses_nothing_that_it_answered(world):
    world.app.answer = Answer(delay=30)
    numbers = [world.fresh() for _ in range(6)]
    for number in numbers:
        assert await world.stripe(event(number, thing=number)) == (200, "")
    await world.arrived("stripe", 1)  # some are under way, held by the process that dies
    numbers.append(world.fresh())
    assert await world.stripe(event(numbers[-1], thing=numbers[-1])) == (200, "")
    await world.panless.kill()  # at once after its answer
    world.app.reset()
    await world.panless.start()
    await until(lambda: _all_there(world, numbers))
    await settled(world)
    # At least once: one that the application had when Panless died comes again.
    assert set(ids(world)) == {f"evt_{number}" for number in numbers}


async def _all_there(world, numbers: list[str]) -> bool:
    return {f"evt_{number}" for number in numbers} <= set(ids(world))


async def test_two_panless_share_the_work_and_each_event_comes_once(world):
    folder = world.panless.config.parent
    second = folder / "second.toml"
    url = f"postgresql://panless_proxy@/panless?host={folder / 'data' / 'run'}&port=5432"
    head = f'data_dir = "second"\ndatabase = {{ url = "{url}" }}\nkeys = {{ path = "data/kek" }}\n'
    second.write_text(world.text.replace('data_dir = "data"\n', head))
    (folder / "second").mkdir(mode=0o700)
    other, first = await PanlessProcess(second).start(), world.panless
    try:
        numbers = [world.fresh() for _ in range(30)]
        await asyncio.gather(*(world.stripe(event(number, thing=number)) for number in numbers))
        replay = event(numbers[0], thing=numbers[0])
        world.panless = other
        assert await world.stripe(replay) == (200, "")
        more = world.fresh()
        assert await world.stripe(event(more, thing=more)) == (200, "")
        numbers.append(more)
        world.panless = first
        await until(lambda: _all_there(world, numbers))
        await settled(world)
        assert sorted(ids(world)) == sorted(f"evt_{number}" for number in numbers)
    finally:
        world.panless = first
        assert await other.stop() == 0


async def test_a_new_secret_and_a_new_place_hold_for_what_waits_already(world):
    world.app.answer = Answer(status=500)
    number = world.fresh()
    assert await world.stripe(event(number, thing=number)) == (200, "")
    await world.arrived("stripe")
    (world.panless.config.parent / "signing-new").write_text(OTHER_SIGNING)
    changed = world.text.replace('secret = "file:signing"', 'secret = ["file:signing-new", "file:signing"]')
    world.panless.config.write_text(changed.replace("/in/stripe", "/in/moved"))
    world.panless.process.send_signal(signal.SIGHUP)
    world.app.answer = lambda received: Answer(status=200 if received.target == "/in/moved" else 500)
    (received,) = await world.arrived("moved")
    for secret in (OTHER_SIGNING, SIGNING):
        standardwebhooks.Webhook(secret).verify(received.body, dict(received.headers))
    await settled(world)
    world.panless.config.write_text(world.text)
    world.panless.process.send_signal(signal.SIGHUP)
    reloads = await world.metric("panless_config_reloads_total")

    async def back() -> bool:
        return await world.metric("panless_config_reloads_total") > reloads or True

    await until(back)


async def test_commands_say_what_they_cannot_do(world):
    wrong = [
        ("show", "whe_x"),
        ("replay", type_id("whe", uuid7())),
        ("replay",),
        ("replay", "whe_x", "--state", "dead"),
    ]
    done = await asyncio.gather(*(world.panless.command("webhooks", *each) for each in wrong))
    assert [each.code for each in done] == [1, 1, 2, 2]
    assert all("[events_not_found]" in each.err for each in done[:2])
    assert (await world.panless.command("webhooks", "list", "--state", "passing")).out == "There are none.\n"


async def test_the_right_one_is_told_too(world):
    done = await panless("check", "-c", world.panless.config)
    assert done.code == 0 and "signed: paypal" in done.out
    assert "webhook route adyen has no `sign`" in done.err
