"""One dead gateway does not take the others along: circuits, and room for requests, are each upstream's own."""

from __future__ import annotations

import asyncio

import pytest

from tests.harness.fault_plan import Fault
from tests.harness.faulty_gateway import faulty
from tests.harness.faulty_world import faulty_world, route
from tests.harness.waiting import until

BREAKS = "retries = { attempts = 1 }\nbreaker = { failures = 3, open_seconds = 1 }\n"


@pytest.fixture(scope="module")
async def world(tmp_path_factory):
    async with faulty() as other:
        more = route("other", other.url)
        settings = {"dead": BREAKS, "full": "max_in_flight = 2\nretries = { attempts = 1 }\nbreaker = { failures = 0 }"}
        async with faulty_world(tmp_path_factory.mktemp("breaker"), settings, more) as made:
            made.other = other
            yield made


def _circuit(gateway) -> str:
    return f'panless_upstream_circuit{{upstream="{gateway.url}"}}'


async def test_a_dead_gateway_is_left_alone_and_asked_again(world):
    world.gateway.will(Fault("cut", at=0), always=Fault("error_before", status=503))
    assert (await world.charge("dead")).code == "upstream_disconnected"
    assert [(await world.charge("dead")).status for _ in range(2)] == [503, 503]
    revealed = await world.reveals("dead")
    refused = await world.charge("dead")
    assert (refused.status, refused.code, refused.reached) == (503, "upstream_circuit_open", "no")
    assert refused.headers["Retry-After"] == "1"
    # No card was opened for it, and nothing was connected to.
    assert await world.reveals("dead") == revealed == 3
    assert world.gateway.connections == 3
    assert await world.metric(_circuit(world.gateway)) > 0
    assert (await world.charge("other")).status == 200
    assert await world.metric(_circuit(world.other)) == 0
    world.gateway.will()

    async def closed() -> bool:
        return (await world.charge("dead")).status == 200

    await until(closed)
    assert await world.metric(_circuit(world.gateway)) == 0
    assert "upstream_circuit_opened" in world.panless.log


async def test_a_gateway_that_hangs_fills_its_own_room_only(world):
    world.gateway.will(always=Fault("hang_before"))
    hanging = [asyncio.create_task(world.charge("full")) for _ in range(2)]

    async def full() -> bool:
        return len(world.gateway.received) == 2

    await until(full)
    refused = await world.charge("full")
    assert (refused.status, refused.code, refused.reached) == (503, "upstream_busy", "no")
    assert await world.metric(f'panless_upstream_in_flight{{upstream="{world.gateway.url}"}}') == 2
    assert (await world.charge("other")).status == 200
    world.gateway.hang_up()
    assert {each.code for each in await asyncio.gather(*hanging)} == {"upstream_disconnected"}
    assert await world.metric(f'panless_upstream_in_flight{{upstream="{world.gateway.url}"}}') == 0
    world.gateway.will()
    assert (await world.charge("full")).status == 200
