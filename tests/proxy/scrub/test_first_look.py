"""The first look at an answer, and at a request's other parts, never spares a search that would find something."""

from __future__ import annotations

import base64
import random

import pytest

from proxy.guard.search import search
from proxy.scrub import guesses
from proxy.scrub.guesses import holds_guess, worth_searching
from proxy.scrub.scrubber import Scrubber, Secret, may_hold
from vault.sensitive import Sensitive

PAN, CODE, TEXT = "4242424242424242", "731", "sk_te/st+=="
SECRETS = [Secret(Sensitive(PAN), "tok_1"), Secret(Sensitive(CODE), "cvc_1"), Secret(Sensitive(TEXT), "[credential]")]
BETWEEN = ["", " ", "-", "<b>", '<b class="x">', "%20", "\\t", "&nbsp;", "\u2009", "\0", "/", "\r\n"]
AROUND = [" ", '"', "{", "}", ",", ":", "&", "=", "%", "\\", ";", "<", ">", '"cvc":', "[", "x", "MNO", "code ", "+"]


def _value(source: random.Random) -> str:
    value = source.choice([PAN, PAN, PAN[:8], CODE, CODE, TEXT])
    before = source.choice(["", "a", "ab"])
    ways = [
        value, value, value,
        "".join(f"\\u{ord(each):04x}" for each in value),
        "".join(f"%{ord(each):02X}" for each in value),
        "".join(f"&#{ord(each)};" for each in value),
        base64.b64encode(f"{before}{value}z".encode()).decode(),
        value.encode().hex(),
        "".join(chr(0xFF10 + int(each)) if each.isdigit() else each for each in value),
        source.choice(BETWEEN).join([value[:4], value[4:]]),
        source.choice(BETWEEN).join(value),
    ]  # fmt: skip
    return source.choice(ways)


def _data(source: random.Random) -> bytes:
    pieces = [source.choice([_value(source), *source.choices(AROUND, k=2)]) for _ in range(source.choice([1, 3, 8]))]
    return "".join(pieces).encode()


def _results(data: bytes) -> tuple[object, ...]:
    scrubber = Scrubber(SECRETS)
    return (
        scrubber.clean(data), scrubber.clean(data, is_json=True), scrubber.found_in(data), scrubber.not_in(data),
        holds_guess(data, SECRETS), holds_guess(data, SECRETS[:1]), worth_searching(data, SECRETS),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_with_and_without_it_the_same_is_found(seed, monkeypatch):
    source = random.Random(seed)  # noqa: S311
    bodies = [_data(source) for _ in range(800)]
    found = [_results(data) for data in bodies]
    monkeypatch.setattr(Scrubber, "_may_be_in", lambda _self, _readings: True)
    monkeypatch.setattr(guesses, "may_hold_number", lambda _data: True)
    assert [_results(data) for data in bodies] == found
    assert 100 < sum(result[2] is True for result in found) < 700


@pytest.mark.parametrize("seed", range(4))
def test_what_a_glance_passes_over_holds_nothing(seed):
    source = random.Random(seed)  # noqa: S311
    passed = 0
    for _ in range(800):
        body, header = _data(source), _data(source)
        scrubber = Scrubber(SECRETS)
        if not may_hold(body + b"\n" + header, SECRETS):
            passed += 1
            for each in (body, header):
                assert scrubber.clean(each) is each
                assert scrubber.clean(each, is_json=True) is each
                assert not scrubber.found_in(each)
                assert next(search(each), None) is None
    assert 20 < passed < 700


def test_headers_are_cleaned_one_by_one_if_one_of_them_holds_a_value():
    scrubber = Scrubber(SECRETS)
    clean = ["text/html; charset=utf-8", "a%20b", "4242", "\udcff"]
    assert scrubber.clean_texts(clean) is clean
    assert scrubber.clean_texts([*clean, f"no {PAN}", "731"]) == [*clean, "no tok_1", "cvc_1"]
    assert scrubber.clean_texts(["42424242", "42424242"]) == ["42424242", "42424242"]


@pytest.mark.parametrize(
    "guess", ["4242420000004242", "4242 4200 0000 4242", "424242%30000004242", "424242-0000004242"]
)
def test_a_number_with_the_first_and_last_digits_of_a_card_is_a_guess(guess):
    assert holds_guess(b"a\n" + guess.encode(), SECRETS)
    assert not holds_guess(b"a\n" + guess.replace("4242", "4243").encode(), SECRETS)
    assert not holds_guess(guess.encode(), SECRETS[1:])
