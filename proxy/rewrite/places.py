"""Places: where selected values stand in a body, and how many of them one body may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from proxy.rewrite.errors import TooManyValues
from vault.sensitive import Sensitive

Path = tuple[str | int, ...]
"""Where a value stands in the uniform tree: names and, in arrays, indexes, from the root."""

MAX_DEPTH = 128
"""Levels of nesting, in any type of body, beyond which it is refused."""

MAX_VALUES = 100
"""Selected values of one body. Each costs work in the vault and a search of the answer."""


class Place(NamedTuple):
    """A selected value as a scanner reports it.

    `selectors` are numbers into the Automaton's selectors; `start` and `end` are the bytes that
    `encode(text)` replaces. Each place brings its own encoding, because one body can mix several.
    """

    selectors: tuple[int, ...]
    path: Path
    start: int
    end: int
    value: Sensitive
    encode: Callable[[str], bytes]


def add_place(places: list[Place], place: Place) -> None:
    """Add one more; raises TooManyValues at the first that is too many."""
    if len(places) == MAX_VALUES:
        raise TooManyValues(limit=MAX_VALUES)
    places.append(place)
