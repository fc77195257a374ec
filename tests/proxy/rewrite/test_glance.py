"""A glance passes over nothing that is a card number, however it is written, and over nearly all that is none."""

from __future__ import annotations

import base64
import random

import pytest

from proxy.rewrite.glance import may_hold_number
from proxy.rewrite.written import SEPARATORS

ORDINARY = (
    b'{"order":"2026-11-23T15:04:05Z","amount":1999,"currency":"eur","token":"tok_01h455vb4pex5vsknk084sn02q"}\n'
    b"application/json\nBearer sk_live_the_gateways_own_secret\nMozilla/5.0 (X11; Linux x86_64)"
)


@pytest.mark.parametrize("length", [12, 15, 16, 19])
def test_base64_of_digits_is_seen_at_each_alignment(length):
    source = random.Random(length)  # noqa: S311
    for number in range(300):
        digits = "".join(source.choices("0123456789", k=length)).encode()
        written = base64.b64encode(b"ab"[: number % 3] + digits + b"<>"[: number % 2])
        assert may_hold_number(ORDINARY + b"\n" + written)
        assert may_hold_number(ORDINARY + b"\n" + b"\r\n ".join([written[:7], written[7:]]))


@pytest.mark.parametrize(
    "written",
    ["424242424242", "4242<b>42424242", "%34242424242424", "\\u0034242424242424", "&#52;242424242424", "4\0" * 12,
     "\uff14" * 12, b"424242424242".hex(), *(each.join("424242424242") for each in SEPARATORS)],
)  # fmt: skip
def test_digits_are_seen_whatever_is_between_them(written):
    assert may_hold_number(ORDINARY + b"\n" + written.encode())


def test_ordinary_text_is_passed_over():
    assert not may_hold_number(ORDINARY)
    assert not may_hold_number(b"")
