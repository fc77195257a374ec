"""Card numbers in bytes, however their digits are written, and where they stand there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.guard.search import digits_of, search
from tests.guard_corpus.cards import _GROUPS
from tests.guard_corpus.count import counted
from tests.guard_corpus.numbers import grouped
from tests.harness.cards import cards
from vault.issuers import issued

CARDS = [number for number in cards() if issued(number)]
VISA = "4111111111111111"


def found(data: bytes) -> list[bytes]:
    return [data[start:end] for start, end in dict.fromkeys(search(data))]


def _each(form: str):
    return lambda number: "".join(form.format(ord(digit)) for digit in number)


WRITTEN = {
    "full-width": lambda number: number.translate({48 + d: 0xFF10 + d for d in range(10)}),
    "JSON escapes": _each("\\u{:04x}"),
    "doubled JSON escapes": _each("\\\\u{:04x}"),
    "JSON escapes, upper case": _each("\\u{:04X}"),
    "escaped full-width": lambda number: "".join(f"\\uff1{digit}" for digit in number),
    "hex escapes": _each("\\x{:02x}"),
    "percent": _each("%{:02x}"),
    "percent twice": _each("%25{:02x}"),
    "percent full-width": lambda number: "".join(f"%EF%BC%9{digit}" for digit in number),
    "references": _each("&#{};"),
    "hex references": _each("&#x{:x};"),
    "references in JSON in XML": _each("&amp;#{};"),
}
SEPARATORS = [
    "\u00a0",
    "\u2009",
    "\u202f",
    "\u2007",
    "\u2013",
    "\u2011",
    "%20",
    "%2D",
    "&#160;",
    "&nbsp;",
    "\\u00a0",
    "+",
]


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_every_card_is_found_however_its_digits_are_written(write):
    for number in CARDS:
        data = f'{{"x": 1, "n": "{write(number)}", "y": 2}}'.encode()
        assert found(data) == [write(number).encode()]
        assert digits_of(found(data)[0]) == number


@pytest.mark.parametrize("separator", SEPARATORS)
def test_every_card_is_found_however_its_groups_are_parted(separator):
    for number in CARDS:
        written = grouped(number, _GROUPS.get(len(number), (4, 4, 4, 4)), separator).encode()
        assert written in found(b'"' + written + b'"')
        assert digits_of(written) == number


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be", "utf-16", "utf-32-le"])
def test_every_card_is_found_in_wide_characters(charset):
    for number in CARDS:
        spans = found(f'{{"n": "{number}"}}'.encode(charset))
        assert len(spans) == 1
        assert digits_of(spans[0]) == number


@pytest.mark.parametrize("text", [
    f"%B{VISA}^DOE/JANE^30121010000000000", f"%25B{VISA}%5EDOE%2FJANE%5E3012", f"\\u0025B{VISA}^", f"%b{VISA}^",
])  # fmt: skip
def test_track_one_is_found_though_it_begins_like_a_percent_encoded_byte(text):
    assert VISA.encode() in found(text.encode())


def test_the_number_alone_is_named_and_not_what_is_around_it():
    assert found("Straße \u20ac 5, card %34111111111111111 & more\u2026".encode()) == [b"%34111111111111111"]
    assert found(b'{"a":[4111111111111111,2]}') == [b"4111111111111111"]
    assert found(b'"4111\\u00201111\\u00201111\\u00201111"') == [b"4111\\u00201111\\u00201111\\u00201111"]


@pytest.mark.parametrize(
    "text", ["%20" * 8, "\\u0031" * 11, "&#52;" * 11, "%F0%9F%92%B3" * 4, "\\n" * 30, "\0" * 40, "%%%%"]
)
def test_escapes_alone_are_no_number(text):
    assert found(text.encode()) == []


@given(st.binary(max_size=300))
def test_any_bytes_can_be_searched(data):
    assert all(0 <= start < end <= len(data) for start, end in search(data))


NEEDLESS = {
    "timestamp in ms", "timestamp in us", "timestamp in ns", "timestamp with decimals", "date and time, ISO 8601",
    "date and time, digits only", "IMEI", "UUID", "UUID of digits only", "UPS", "USPS, 20/22 digits", "DHL, 10 digits",
    "phone, E.164", "IBAN", "IP address", "coordinates", "decimal fraction", "amount", "base64", "random id",
}  # fmt: skip


def test_the_corpus_holds_what_the_documents_say():
    """docs/guard.md has the figures of a million documents; these are the first of them."""
    counts = counted((1, 0, 1500))
    assert counts.documents == 1500
    assert not NEEDLESS & set(counts.alarms)
    assert counts.false_documents < 1500 * 0.03
    assert set(counts.misses) <= {"exponent"}
    assert sum(counts.misses.values()) <= 5
    assert counted((1, 0, 100)) == counted((1, 0, 100)), "the same seed makes the same documents"
