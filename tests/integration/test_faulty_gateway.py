"""The stand-ins themselves: a gateway's charges survive its own kill -9, and a wire breaks where it is told to."""

from __future__ import annotations

import aiohttp
import asyncpg
import pytest

from tests.harness.external import external
from tests.harness.fault_plan import Fault, written
from tests.harness.faulty_gateway import FaultyProcess, faulty
from tests.harness.faulty_wire import faulty_wire
from tests.harness.sending import sending

CARD = {"card": {"number": "4242424242424242"}, "amount": 5}


async def test_charges_outlive_a_kill_and_are_not_made_twice(tmp_path):
    gateway = await FaultyProcess(tmp_path / "a journal").start()
    try:
        async with aiohttp.ClientSession() as client:
            after = {"faults": written([Fault("error_after", status=500)])}
            async with client.post(gateway.control + "/_plan", json=after) as answer:
                assert answer.status == 200
            for status in (500, 200):
                async with client.post(
                    gateway.url + "/v1/charges", json=CARD, headers={"Idempotency-Key": "k"}
                ) as answer:
                    assert answer.status == status
            await gateway.kill()
            await gateway.start()
            async with client.post(gateway.url + "/v1/charges", json=CARD, headers={"Idempotency-Key": "k"}) as answer:
                stored = await answer.json()
            assert stored == {"id": "ch_000001", "status": "succeeded", "amount": 5, "card": {"last4": "4242"}}
            other = CARD | {"amount": 6}
            async with client.post(gateway.url + "/v1/charges", json=other, headers={"Idempotency-Key": "k"}) as answer:
                assert answer.status == 422
            async with client.get(gateway.control + "/_charges") as answer:
                charges = await answer.json()
            assert charges == [{"id": "ch_000001", "key": "k", "card": "4242424242424242", "amount": 5}]
            async with client.post(gateway.control + "/_plan", json={"seed": 1, "idempotent": False}) as answer:
                assert answer.status == 200
    finally:
        await gateway.kill()


async def test_a_wire_breaks_at_a_byte_of_either_way(tmp_path):
    once = "retries = { attempts = 1 }"
    async with (
        faulty() as gateway,
        faulty_wire(gateway.port) as wire,
        sending(tmp_path, gateway=(f"http://127.0.0.1:{wire.port}", once)) as to,
    ):
        assert (await to.send())[0] == 200
        whole = wire.there.seen
        for there, back, charges in ((whole - 1, None, 1), (None, 10, 2), (None, 0, 3)):
            wire.there.again(breaks_at=there)
            wire.back.again(breaks_at=back)
            assert await to.fails() == ("upstream_disconnected", "maybe")
            assert len(gateway.ledger.charges) == charges
        assert wire.broken == 3


async def test_a_wire_to_a_database(tmp_path):
    async with external(tmp_path / "db") as database, faulty_wire(tmp_path / "db" / "run" / ".s.PGSQL.5432") as wire:
        url = f"postgresql://postgres@127.0.0.1:{wire.port}/panless"
        connection = await asyncpg.connect(url, ssl=False)
        assert await connection.fetchval("SELECT 1") == 1
        wire.back.again(breaks_at=3)
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await connection.fetchval("SELECT 2")
        assert wire.broken == 1
        assert database.server is not None
