"""The looks that spare a search never spare one that would find something."""

from __future__ import annotations

import random

import pytest

from proxy.guard import numbers
from proxy.guard.numbers import has_digits_of_a_card
from proxy.guard.search import search, worth_searching
from proxy.rewrite.written import decoded, is_plain

VISA = "4111111111111111"
WRITTEN = [
    VISA, " ".join(VISA), "4111-1111-1111-1111", "4.111111111111111e15", f"%34{VISA[1:]}", f"\\u0034{VISA[1:]}",
    f"&#52;{VISA[1:]}", f"&amp;#52;{VISA[1:]}", "4111&nbsp;1111&nbsp;1111&nbsp;1111", "\uff14" + VISA[1:],
    "4111%201111%201111%201111", "\0".join(VISA), "4111\\u00201111 1111 1111", "4111\u20091111 1111 1111",
]  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN)
def test_whatever_is_found_is_worth_searching(written):
    for around in ("{}", "a=1&b={}&c=2", "x;y&{};", '{{"a": "{}"}}'):
        data = around.format(written).encode()
        assert next(search(data), None) is not None, data
        assert worth_searching(data)


def test_plain_is_what_is_read_as_it_is():
    source = random.Random(3)  # noqa: S311
    pieces = [
        "&",
        ";",
        "#",
        "52",
        "%",
        "34",
        "\\",
        "u0034",
        "amp",
        "nbsp",
        "é",
        "\0",
        "a",
        "=",
        "&#52;",
        "&lt;",
        "&a=b;c",
    ]
    plain = 0
    for _ in range(5000):
        data = "".join(source.choices(pieces, k=source.randrange(1, 6))).encode()
        if is_plain(data):
            plain += 1
            assert decoded(data) == data
    assert plain > 500
    assert is_plain(b"a=1&b=2&c[d]=3;")


def test_digits_are_seen_together_wherever_a_large_text_is_cut(monkeypatch):
    monkeypatch.setattr(numbers, "_AT_ONCE", 8)
    for before in range(20):
        for written in ("411111111111", "4-1 1.1/1_1+111111", "4" + " " * 30 + "11111111111"):
            assert has_digits_of_a_card(b"x" * before + written.encode() + b"x" * 20)
            assert not has_digits_of_a_card(b"x" * before + written[:-1].encode() + b"x" * 20 + b"11111")
