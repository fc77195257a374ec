"""Jobs that were queued while the gateway was down: all are sent when it is back, each customer's in order.

JOBS=10000 in `make faults`; fewer in `make test`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import defaultdict

import aiohttp

from tests.harness import configuration
from tests.harness.payments import Payments, routes
from tests.harness.process import serving
from tests.harness.upstream import RecordingUpstream, recording

JOBS = int(os.environ.get("JOBS", "100"))
CUSTOMERS = 50
AT_ONCE = 16


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def enqueue(world: Payments, card: dict) -> None:
    """Queue the jobs of each customer one after the other, those of several at once."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def of(customer: int) -> None:
        async with turns:
            for number in range(customer, JOBS, CUSTOMERS):
                await world.later("plain", card, f"job-{number}", body={"customer": f"c{customer}", "amount": number})

    await asyncio.gather(*(of(customer) for customer in range(CUSTOMERS)))


async def test_jobs_that_waited_for_the_gateway_are_sent_in_order(tmp_path):
    port, gateway = free_port(), RecordingUpstream()
    async with recording() as app, aiohttp.ClientSession() as client:
        (tmp_path / "told.key").write_text("whsec_bm90IHVzZWQgaW4gdGhpcyB0ZXN0IQ==")
        extra = routes(f"http://127.0.0.1:{port}", app.url).replace("give_up_hours = 1", "give_up_hours = 24")
        config = configuration.write(tmp_path, app.url, app.url, extra=extra)
        async with serving(config) as process:
            world = Payments(process, app, gateway, client, await process.add_app("shop"), "")
            await enqueue(world, await world.card())
            [states] = await world.sql("SELECT count(*), count(*) FILTER (WHERE ended_at IS NULL) FROM operations")
            assert tuple(states) == (JOBS, JOBS)
            server = await asyncio.start_server(gateway.serve, "127.0.0.1", port, limit=2**17)
            while (await world.sql("SELECT count(*) FROM operations WHERE ended_at IS NULL"))[0][0]:
                await asyncio.sleep(1)
            server.close()
            ended = await world.sql("SELECT state, count(*) FROM operations GROUP BY 1")
            assert {row[0]: row[1] for row in ended} == {"succeeded": JOBS}
    sent = defaultdict(list)
    for each in gateway.received:
        sent[each.json()["customer"]].append(each.json()["amount"])
    assert sum(map(len, sent.values())) == JOBS
    assert all(amounts == sorted(amounts) for amounts in sent.values())
