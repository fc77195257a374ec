"""Each time-out of a route has its code, and the application is told whether the gateway may have got the request."""

from __future__ import annotations

import ssl

import pytest
import trustme

from tests.harness.fault_plan import Fault
from tests.harness.faulty_gateway import faulty
from tests.harness.faulty_world import faulty_world, route
from tests.harness.loopback import full_backlog

ONCE = "retries = { attempts = 1 }\nbreaker = { failures = 0 }\n"
ROUTES = {
    "first": ONCE + "timeouts.first_byte = 0.3",
    "between": ONCE + "timeouts.between_bytes = 0.3",
    "whole": ONCE + "timeouts.whole = 0.5",
}


@pytest.fixture(scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timeouts")
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with full_backlog() as port:
        async with faulty(tls=context) as stalls:
            more = route("connect", f"http://127.0.0.1:{port}", ONCE + "timeouts.connect = 0.3")
            more += route("tls", stalls.url, ONCE + 'ca = "ca.pem"\ntimeouts.tls = 0.3')
            async with faulty_world(folder, ROUTES, more) as made:
                made.tls = stalls
                yield made


async def _told(world, name: str) -> tuple[int, str | None, str | None]:
    outcome = await world.charge(name)
    return outcome.status, outcome.code, outcome.reached


async def test_connect(world):
    assert await _told(world, "connect") == (504, "upstream_connect_timeout", "no")


async def test_tls_and_nothing_is_revealed_for_it(world):
    world.tls.will(Fault("tls_stall"))
    assert await _told(world, "tls") == (504, "upstream_tls_timeout", "no")
    assert await world.reveals("tls") == 0
    assert await _told(world, "tls") == (200, None, None)
    assert [each.card for each in world.tls.ledger.charges] == ["4242424242424242"]
    assert await world.reveals("tls") == 1


@pytest.mark.parametrize(
    ("name", "fault", "told", "charges"),
    [
        ("first", Fault("hang_before"), (504, "upstream_first_byte_timeout", "maybe"), 0),
        ("first", Fault("hang_after", at=9), (504, "upstream_first_byte_timeout", "maybe"), 1),
        ("between", Fault("hang_after", at=120), (504, "upstream_stalled", "yes"), 1),
        ("whole", Fault("drip", seconds=0.02), (504, "upstream_whole_timeout", "maybe"), 1),
        ("whole", Fault("hang_after", at=120), (504, "upstream_whole_timeout", "yes"), 1),
        ("first", Fault("latency", seconds=0.05), (200, None, None), 1),
        ("between", Fault("too_long"), (502, "upstream_answer_invalid", "yes"), 1),
        ("first", Fault("garbage"), (502, "upstream_answer_invalid", "maybe"), 1),
    ],
)
async def test_after_the_request_was_sent(world, name, fault, told, charges):
    world.gateway.will(fault)
    assert await _told(world, name) == told
    assert len(world.gateway.ledger.charges) == charges
