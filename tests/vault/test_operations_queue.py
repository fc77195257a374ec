"""The queue of operations in a real database: a claim whose answer was lost is taken back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from proxy.operations.accepting import Operations
from proxy.outgoing.order import Later
from proxy.state.errors import OperationInDoubt
from proxy.state.operations import NewOperation
from proxy.state.store import State
from vault.errors import DatabaseUnavailable
from vault.tokens import uuid7


@pytest.fixture
async def queue(vault, open_pool):
    state = State(await open_pool())
    for number in range(3):
        request = await vault.documents.seal("request", "default", b"request")
        await state.queue.enqueue(NewOperation(uuid7(), "shop", "route", None, None, None, request, f"req-{number}"))
    return state.queue


async def states(owner) -> list[tuple[str, int]]:
    return [tuple(row) for row in await owner.fetch("SELECT state, attempts FROM operations ORDER BY number")]


async def test_a_claim_that_was_lost_is_taken_back_and_nothing_else(queue, owner):
    kept, lost = uuid7(), uuid7()
    assert len(await queue.claim(kept, {"route": 1})) == 1
    assert len(await queue.claim(lost, {"route": 1})) == 1
    await queue.unclaim(lost)
    assert await states(owner) == [("running", 1), ("pending", 0), ("pending", 0)]


async def test_each_run_is_its_own(queue):
    runs = {operation.run for operation in await queue.claim(uuid7(), {"route": 3})}
    assert len(runs) == 3


async def test_a_route_without_room_gets_nothing(queue, owner):
    assert await queue.claim(uuid7(), {"other": 5}) == []
    assert {state for state, _ in await states(owner)} == {"pending"}


async def test_without_a_key_a_commit_without_an_answer_is_told_as_what_it_is(vault):
    """Not as safe to repeat: the operation may be there, and would then be sent twice."""

    async def lost(*_):
        raise DatabaseUnavailable

    async def digest(_order):
        return b"digest"

    state = SimpleNamespace(queue=SimpleNamespace(enqueue=lost))
    operations = Operations(vault, state, SimpleNamespace(digest=digest))
    principal = SimpleNamespace(app="shop", tenant="default")
    order = SimpleNamespace(
        permit=SimpleNamespace(principal=principal),
        route=SimpleNamespace(name="route", idempotency=SimpleNamespace(keep=None)),
        exchange=SimpleNamespace(request_id="req-1"),
    )
    with pytest.raises(OperationInDoubt, match="op_"):
        await operations._enqueue(order, Later(None, None, None), b"", None, b"")
