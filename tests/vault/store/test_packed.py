"""Rows as one text: nothing that comes from outside can end a cell or a line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.verified import verified
from vault.audit.event import Event, Outcome
from vault.requests import TokenLimits
from vault.store.packed import NULL, cell
from vault.store.records import Content, Mark, NewRecord, Records
from vault.store.writer import Write, Writer
from vault.tokens import mint, uuid7

ODD = ["", "-", "a\tb", "a\nb\t-\tc", "\\N", "{}", "'; --", "é\u2028\U0001f600", "\x1f\x7f"]


@pytest.fixture
async def writer(open_pool):
    pool = await open_pool()
    made = Writer(pool, Records(pool), cvc_attempts=1)
    yield made
    await made.close()


def test_only_hex_and_the_dash_stand_in_cells():
    assert {cell(None)} == {NULL}
    assert all(set(cell(each)) <= set("0123456789abcdef") for each in ODD)


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
async def test_texts_are_stored_as_they_are(writer, owner, database, odd):
    told = Event(
        at=datetime.now(UTC), action="test", outcome=Outcome.DENIED, app=odd, route=odd, request_id=odd, tenant=odd
    )
    content = Content(mint("tok"), uuid7(), b"\x00\t\n-", None, odd)
    await writer.write(Write(lambda _: told, [NewRecord([Mark(bytes(32), uuid7())], odd, "pan", lambda: content)]))
    row = await owner.fetchrow("SELECT app, route, request_id FROM audit_events WHERE action = 'test'")
    assert tuple(row) == (odd, odd, odd)
    row = await owner.fetchrow("SELECT tenant, sealed, brand, last4 FROM tokens")
    assert tuple(row) == (odd, b"\x00\t\n-", None, odd)
    assert (await verified(database)).findings == []


async def test_what_is_absent_is_null(writer, owner):
    await writer.write(Write(lambda _: Event(at=datetime.now(UTC), action="test", outcome=Outcome.FAILED)))
    row = await owner.fetchrow("SELECT app, route, request_id, tokens FROM audit_events WHERE action = 'test'")
    assert tuple(row) == (None, None, None, [])


@pytest.mark.parametrize("uses", [0, 3, None])
async def test_limits_are_stored_as_they_are(writer, owner, uses):
    content = Content(mint("tok"), uuid7(), b"sealed", None, None)
    limits = TokenLimits(max_uses=uses, lifetime=timedelta(days=1), routes=("a", "b"), gateways=())
    record = NewRecord([], "default", "pan", lambda: content, limits=limits)
    told = Event(at=datetime.now(UTC), action="test", outcome=Outcome.PERMITTED)
    await writer.write(Write(lambda _: told, [record]))
    row = await owner.fetchrow("SELECT max_uses, expires_at - created_at, routes, gateways FROM tokens")
    assert tuple(row) == (uses, timedelta(days=1), ["a", "b"], [])
