"""Issuers' ranges: the brand of every test card, and what no brand has."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.harness.cards import cards
from vault.issuers import brand, issued

_FILE = Path(__file__).parents[1] / "cards" / "test_cards.csv"
_NAMES = {"visa", "mastercard", "amex", "discover", "diners", "jcb", "unionpay", "maestro", "mir", "rupay", "troy"}


def _rows() -> list[tuple[str, str]]:
    with _FILE.open(newline="") as file:
        return sorted({(row["pan"], row["type"]) for row in csv.DictReader(file) if row["luhn_valid"] == "true"})


@pytest.mark.parametrize(("number", "name"), [row for row in _rows() if row[1] in _NAMES])
def test_the_brand_of_every_test_card_is_what_another_library_says(number, name):
    assert brand(number) == name


def test_nearly_every_test_card_is_in_an_issuers_range():
    assert [number for number in cards() if not issued(number)] == [
        number for number in cards() if number in {"3088000000000017", "490154203237518", "9000000000000001"}
    ]


@pytest.mark.parametrize(
    ("first", "lengths"),
    [
        ("4", {13, 16, 19}),
        ("34", {15}),
        ("37", {15}),
        ("51", {16}),
        ("2221", {16}),
        ("2720", {16}),
        ("36", {14, 16, 19}),
    ],
)
def test_only_lengths_that_a_brand_has_are_issued(first, lengths):
    assert {length for length in range(10, 22) if issued(first.ljust(length, "0"))} == lengths


@pytest.mark.parametrize("first", ["0", "1", "2220", "2721", "70", "84", "9", "99"])
def test_what_no_brand_has_is_not_issued(first):
    assert brand(first.ljust(16, "0")) is None
    assert not any(issued(first.ljust(length, "0")) for length in range(10, 22))
