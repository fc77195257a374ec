"""How often the database is asked: each statement is one round trip and, where it writes, one commit."""

from __future__ import annotations

import asyncio
import re

import asyncpg
import pytest

from tests.harness.cards import cards
from vault.kinds import CVC, PAN
from vault.policy import Permit, Principal
from vault.requests import Context, NewValue, Reference
from vault.sensitive import Sensitive

CONTEXT = Context("req_1", "checkout", "gateway.example", "192.0.2.1")
PERMIT = Permit(Principal("shop", "default"), "reveal", "gateway", "gateway.example")
# What a process asks by itself, each second, is not of a request.
_OF_REQUESTS = re.compile(r"\b(tokens|fingerprints|cvc_leases|audit_events|app_keys)\b")


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """Every statement that requests cause, as `reads` or `writes`."""
    found: list[str] = []

    def counted(name: str):
        plain = getattr(asyncpg.Connection, name)

        async def ask(connection, query, *args, **named):
            if _OF_REQUESTS.search(query):
                found.append("writes" if re.search(r"\b(INSERT|UPDATE|DELETE)\b", query) else "reads")
            return await plain(connection, query, *args, **named)

        return ask

    for name in ("fetch", "fetchrow", "fetchval", "execute", "executemany"):
        monkeypatch.setattr(asyncpg.Connection, name, counted(name))
    return found


def card(number: str) -> NewValue:
    return NewValue(PAN, Sensitive(number), "$")


@pytest.fixture
async def warm(vault):
    """A vault that has its keys and its chain."""
    await vault.tokenize([card(cards()[0])], "default", CONTEXT)
    return vault


async def test_a_new_card_is_looked_up_once_and_written_with_its_event_in_one_commit(warm, asked):
    await warm.tokenize([card(cards()[1])], "default", CONTEXT)
    assert asked == ["reads", "writes"]


async def test_a_known_card_is_one_commit(warm, asked):
    await warm.tokenize([card(cards()[0])], "default", CONTEXT)
    assert asked == ["writes"]


async def test_many_values_of_one_request_take_no_more(warm, asked):
    values = [card(each) for each in cards()[1:9]]
    values += [NewValue(CVC, Sensitive("123"), "$", of=number) for number in range(8)]
    await warm.tokenize(values, "default", CONTEXT)
    assert asked == ["reads", "writes"]


async def test_a_reveal_is_one_look_up_and_one_commit(warm, asked):
    (token,) = await warm.tokenize([card(cards()[0])], "default", CONTEXT)
    asked.clear()
    await warm.reveal([Reference(PAN, token, "$")], PERMIT, CONTEXT)
    assert asked == ["reads", "writes"]


async def test_of_a_code_too_whose_use_is_counted_in_that_commit(warm, asked):
    values = [card(cards()[0]), NewValue(CVC, Sensitive("123"), "$", of=0)]
    tokens = await warm.tokenize(values, "default", CONTEXT)
    asked.clear()
    references = [Reference(value.kind, token, "$") for value, token in zip(values, tokens, strict=True)]
    await warm.reveal(references, PERMIT, CONTEXT)
    assert asked == ["reads", "writes"]


async def test_who_asks_at_once_shares_them(warm, asked):
    await asyncio.gather(*(warm.tokenize([card(each)], "default", CONTEXT) for each in cards()[1:31]))
    assert asked == ["reads", "writes"]
    asked.clear()
    before = warm.statistics.batches
    await asyncio.gather(*(warm.tokenize([card(cards()[0])], "default", CONTEXT) for _ in range(100)))
    assert asked == ["writes"]
    assert warm.statistics.batches - before == 1
