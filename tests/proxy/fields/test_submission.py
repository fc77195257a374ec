"""What a frame hands in: any bytes are read as what they are, or refused; months end where the earth ends them."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import FieldsRequestInvalid
from proxy.fields import submission
from proxy.fields.submission import read
from vault.errors import NotOfItsKind

NESTED = st.recursive(st.text() | st.integers() | st.none(), st.lists)


@given(st.binary(max_size=200) | NESTED.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused(body):
    with suppress(FieldsRequestInvalid, NotOfItsKind):
        read(body)


@pytest.mark.parametrize(
    ("now", "text", "good"),
    [
        ((2026, 11, 30), "11/2026", True),
        ((2026, 12, 1), "11/2026", True),  # somewhere it is November still
        ((2026, 12, 2), "11/2026", False),
        ((2027, 1, 1), "12/2026", True),
        ((2027, 1, 2), "12/2026", False),
        ((2027, 1, 1), "11/2026", False),
        ((2026, 11, 1), "12/2099", True),
        ((2026, 11, 1), "00/2030", False),
        ((2026, 11, 1), "12/30", False),
        ((2026, 11, 1), "12/2030 ", False),
    ],
)
def test_a_card_is_good_to_the_end_of_its_month(monkeypatch, now, text, good):
    class Clock(datetime):
        @classmethod
        def now(cls, tz):
            return datetime(*now, 11, tzinfo=tz)

    monkeypatch.setattr(submission, "datetime", Clock)
    body = b'{"number": "4242424242424242", "expiry": "%s"}' % text.encode()
    if good:
        assert read(body).expiry == text
    else:
        with pytest.raises(NotOfItsKind):
            read(body)
