"""The stand-in gateway itself: its charges survive its own kill -9, and a key is one charge."""

from __future__ import annotations

import aiohttp

from tests.harness.fault_plan import Fault, written
from tests.harness.faulty_gateway import FaultyProcess

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
