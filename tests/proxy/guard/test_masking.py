from __future__ import annotations

import json

import pytest

from proxy.guard.masking import mask
from tests.harness.cards import cards
from vault.kinds import luhn_valid

PAN = "4242424242424242"


def grouped(separator: str) -> str:
    return separator.join(["4242"] * 4)


@pytest.mark.parametrize("pan", [pan for pan in cards() if len(pan) >= 13])
def test_every_test_card_is_seen_and_masked(pan):
    assert mask(pan) != pan
    assert mask(f'{{"event":"x {pan} y"}}') == '{"event":"x [masked] y"}'


@pytest.mark.parametrize("separator", ["", " ", "-", ".", "_", "\u00a0", "\u2009"], ids=ascii)
def test_one_separator_between_two_digits_does_not_hide_it(separator):
    assert mask(grouped(separator)) == "[masked]"
    assert mask(separator.join(PAN)) == "[masked]"


@pytest.mark.parametrize("text", ["n={}", "a{}b", "({})", '"{}"', "{},{}", "/{}/x", "{}\n{}"])
def test_it_is_seen_wherever_it_stands(text):
    assert mask(text.replace("{}", PAN)) == text.replace("{}", "[masked]")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4242424242424241",
        "42424242424",
        "order 12345",
        "2024-07-12T08:00:00.123456Z",
        "req_01h455vb4pex5vsknk084sn02q",
        "192.0.2.1",
        "tok_01h455vb4pex5vsknk084sn02q",
        "1795359620123",
    ],
)
def test_what_is_no_card_number_stays(text):
    assert mask(text) == text
    assert mask(text) == text


@pytest.mark.parametrize("digits", ["٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢", "²" * 16])
def test_digits_of_other_scripts_do_no_harm(digits):
    assert mask(digits) == digits


def test_nothing_else_is_changed_and_nothing_fails():
    text = "é\ud800 \x00 4242 " + "9" * 50
    assert mask(text) == text
    assert luhn_valid(PAN)


# A number that is followed, or preceded, by other digits: an expiry date, a code, an amount.
HIDDEN = [
    f"{PAN} 12/27",
    f"{PAN} 123",
    f"{grouped(' ')} 12 27",
    f"12 {PAN}",
    f"{PAN}{PAN}",
    f"{PAN}-12",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_digits_beside_it_do_not_hide_it(text):
    assert mask(text) != text
    assert PAN not in mask(text).replace(" ", "")


@pytest.mark.parametrize(
    "text", [grouped(":"), grouped("/"), grouped("+"), grouped("="), grouped("  "), grouped("\t"), grouped("\u202f")]
)
def test_other_separators_do_not_hide_it(text):
    assert mask(text) != text


@pytest.mark.parametrize("pan", ["".join(chr(0xFF10 + int(digit)) for digit in PAN), "500000000009"])
def test_what_the_vault_takes_for_a_card_number_the_guard_sees(pan):
    from vault.kinds import PAN as KIND
    from vault.sensitive import Sensitive

    KIND.normalise(Sensitive(pan), "$")
    assert mask(pan) != pan


def test_what_json_escapes_is_seen_in_the_finished_line():
    assert mask(json.dumps(grouped("\u00a0"))) != json.dumps(grouped("\u00a0"))
