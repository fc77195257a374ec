"""The test cards: published by payment gateways for testing, never issued to anybody."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).parent.parent / "cards" / "test_cards.csv"


@dataclass(frozen=True)
class Card:
    pan: str
    luhn_valid: bool
    source: str


def all_cards() -> list[Card]:
    """Return every number of the file once, with those that are no card numbers (`luhn_valid` false)."""
    with _FILE.open(newline="") as file:
        rows = {
            row["pan"]: Card(row["pan"], row["luhn_valid"] == "true", row["source"]) for row in csv.DictReader(file)
        }
    return list(rows.values())


def cards() -> list[str]:
    """Return the numbers that the vault takes."""
    return [card.pan for card in all_cards() if card.luhn_valid and len(set(card.pan)) > 1]
