"""Canonical bytes: whoever verifies a log years later, in any language, has to come to the same ones."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest

from vault.audit.chain import Head, extend, leaf_hash
from vault.audit.event import Event, Outcome, canonical, timestamp

DOCUMENT = json.loads((Path(__file__).parents[2] / "vectors" / "audit.json").read_text())
VECTORS = DOCUMENT["events"]
vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["event"]["action"])


def event_of(vector: dict) -> Event:
    members = dict(vector["event"])
    at = datetime.fromisoformat(members.pop("at"))
    return Event(at=at, outcome=Outcome(members.pop("outcome")), tokens=tuple(members.pop("tokens", ())), **members)


@vectors
def test_the_hash_of_a_vector_is_sha_256_of_a_zero_byte_and_the_body(vector):
    assert hashlib.sha256(b"\x00" + vector["body"].encode("ascii")).hexdigest() == vector["hash"]
    assert leaf_hash(vector["body"].encode()).hex() == vector["hash"]


@vectors
def test_the_body_of_a_vector_is_sorted_ascii_without_white_space(vector):
    members = json.loads(vector["body"])
    assert vector["body"].isascii()
    assert list(members) == sorted(members)
    assert json.dumps(members, sort_keys=True, separators=(",", ":")) == vector["body"]


def test_chained_again_the_vectors_come_out_the_same():
    before = [Head(UUID(each["chain"]), each["seq"], bytes.fromhex(each["hash"])) for each in DOCUMENT["continues"]]
    head = Head(UUID(DOCUMENT["chain"]))
    for vector in VECTORS:
        link = extend(head, event_of(vector), before)
        assert link.body.decode() == vector["body"]
        assert link.head.hash.hex() == vector["hash"]
        head = link.head


def test_absent_members_are_left_out_and_every_other_one_is_there():
    at = datetime(2024, 7, 12, 8, 0, 0, 1, UTC)
    assert Event(at=at, action="start", outcome=Outcome.PERMITTED).fields() == {
        "v": 1,
        "at": "2024-07-12T08:00:00.000001Z",
        "action": "start",
        "outcome": "permitted",
    }
    names = ["code", "tenant", "app", "route", "destination", "origin", "request_id"]
    full = Event(
        at=at, action="reveal", outcome=Outcome.FAILED, tokens=("tok_1",), **{name: f"its {name}" for name in names}
    )
    fields = full.fields()
    assert {name: fields[name] for name in names} == {name: f"its {name}" for name in names}
    assert fields["tokens"] == ["tok_1"]
    assert fields["outcome"] == "failed"


def test_times_are_utc_with_microseconds_wherever_the_clock_stands():
    at = datetime(2024, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert timestamp(at) == "2023-12-31T18:45:00.000000Z"


def test_members_in_any_order_have_the_same_canonical_bytes():
    members = {"b": [1, {"z": "é", "a": "\u2028"}], "a": 'x"y\\', "é": 1}
    backwards = dict(reversed(list(members.items())))
    assert canonical(members) == canonical(backwards)
    assert canonical(members) == b'{"a":"x\\"y\\\\","b":[1,{"a":"\\u2028","z":"\\u00e9"}],"\\u00e9":1}'


def test_different_events_have_different_bodies():
    at = datetime(2024, 7, 12, tzinfo=UTC)
    base = {"at": at, "action": "reveal", "outcome": Outcome.PERMITTED}
    events = [
        Event(**base),
        Event(**base, app="a"),
        Event(**base, tenant="a"),
        Event(**base, tokens=("a",)),
        Event(**base, tokens=("a", "b")),
        Event(**base, tokens=("a b",)),
        Event(**base | {"outcome": Outcome.DENIED}),
        Event(**base | {"at": at + timedelta(microseconds=1)}),
    ]
    assert len({canonical(event.fields()) for event in events}) == len(events)
