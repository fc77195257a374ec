"""Canonical bytes: whoever verifies a log years later, in any language, has to come to the same ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


PLACE = {"chain": str(UUID(int=1)), "seq": 1, "prev": "00"}
NAMES = ("action", "code", "tenant", "app", "route", "destination", "origin", "request_id", "operator", "reason")
NAMES += ("policy", "rule", "certificate", "begins")


def members(event: Event) -> dict:
    return json.loads(event.body(**PLACE))


def test_absent_members_are_left_out_and_every_other_one_is_there():
    at = datetime(2024, 7, 12, 8, 0, 0, 1, UTC)
    assert members(Event(at=at, action="start", outcome=Outcome.PERMITTED)) == PLACE | {
        "v": 1,
        "at": "2024-07-12T08:00:00.000001Z",
        "action": "start",
        "outcome": "permitted",
    }
    full = Event(at=at, outcome=Outcome.FAILED, tokens=("tok_1",), **{name: f"its {name}" for name in NAMES})
    found = members(full)
    assert {name: found[name] for name in NAMES} == {name: f"its {name}" for name in NAMES}
    assert found["tokens"] == ["tok_1"]
    assert found["outcome"] == "failed"
    assert {field.name for field in fields(Event)} <= set(found)


texts = st.none() | st.text(st.characters(exclude_categories=()))


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from(Outcome),
    st.fixed_dictionaries(dict.fromkeys(NAMES, texts)),
    st.lists(st.text(), max_size=3),
    st.booleans(),
)
def test_the_body_is_canonical_json_of_its_members(at, outcome, named, tokens, continued):
    named["action"] = named["action"] or "reveal"
    event = Event(at=at, outcome=outcome, tokens=tuple(tokens), **named)
    body = event.body(**PLACE, continues='[{"a":1}]' if continued else None)
    assert canonical(json.loads(body)) == body.encode("ascii")
    written = {"v": 1, "at": timestamp(at), "outcome": outcome.value, **PLACE, **named}
    written |= {"tokens": tokens or None, "continues": [{"a": 1}] if continued else None}
    assert json.loads(body) == json.loads(
        json.dumps({name: each for name, each in written.items() if each is not None})
    )


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
    assert len({event.body(**PLACE) for event in events}) == len(events)
