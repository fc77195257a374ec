from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256

from vault.audit.chain import GENESIS, Head, extend
from vault.audit.event import Event, Outcome
from vault.store.audit import Chain
from vault.tokens import uuid7

EVENT = Event(at=datetime(2024, 7, 12, tzinfo=UTC), action="reveal", outcome=Outcome.PERMITTED)


def test_numbers_begin_at_one_and_every_event_names_the_hash_of_the_one_before():
    head = Head(uuid7())
    assert (head.seq, head.hash) == (0, GENESIS) == (0, bytes(32))
    for number in range(1, 6):
        link = extend(head, EVENT)
        members = json.loads(link.body)
        assert (members["chain"], members["seq"], members["prev"]) == (str(head.chain), number, head.hash.hex())
        assert link.head == Head(head.chain, number, sha256(b"\x00" + link.body).digest())
        head = link.head


def test_only_the_first_event_says_what_the_chain_continues():
    before = Head(uuid7(), 7, b"h" * 32)
    first = extend(Head(uuid7()), EVENT, [before])
    assert json.loads(first.body)["continues"] == [{"chain": str(before.chain), "seq": 7, "hash": (b"h" * 32).hex()}]
    assert "continues" not in json.loads(extend(first.head, EVENT, [before]).body)
    assert "continues" not in json.loads(extend(Head(uuid7()), EVENT).body)


def test_the_same_event_at_another_place_has_another_hash():
    head = Head(uuid7())
    first = extend(head, EVENT)
    second = extend(first.head, EVENT)
    elsewhere = extend(Head(uuid7()), EVENT)
    continued = extend(head, EVENT, [Head(uuid7(), 1, bytes(32))])
    assert len({link.head.hash for link in (first, second, elsewhere, continued)}) == 4


def test_the_head_moves_only_when_it_is_told_that_events_are_committed():
    chain = Chain(Head(uuid7()), [])
    start = chain.head
    links = chain.link([EVENT, EVENT])
    assert [link.head.seq for link in links] == [1, 2]
    assert chain.head == start
    assert [link.body for link in chain.link([EVENT, EVENT])] == [link.body for link in links]
    chain.advance(links)
    assert [link.head.seq for link in chain.link([EVENT])] == [3]
    assert json.loads(chain.link([EVENT])[0].body)["prev"] == links[1].head.hash.hex()
