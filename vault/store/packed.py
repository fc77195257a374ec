"""Rows for the database as one text: a line for each, its cells apart by tabs.

An array for each column is what asyncpg takes longest over; a text it only copies. What comes from outside stands in a
cell as hex of its UTF-8, so that nothing in it can end a cell or a line. NULL is a dash.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

NULL = "-"
CELLS = f"string_to_table({{}}, chr(10)) AS line, string_to_array(line, chr(9), '{NULL}') AS cell"


def count(place: str) -> str:
    """Return how many lines the parameter at a place has, in SQL."""
    return f"cardinality(string_to_array({place}, chr(10)))"


def raw(number: int) -> str:
    """Return cell `number` as bytes, in SQL."""
    return f"decode(cell[{number}], 'hex')"


def text(number: int) -> str:
    """Return cell `number` as text, in SQL."""
    return f"convert_from({raw(number)}, 'UTF8')"


def cell(value: str | None) -> str:
    """Return the cell for a text."""
    return NULL if value is None else value.encode().hex()


name = lru_cache(maxsize=10_000)(cell)
"""The same, for texts of which there are few: names of applications, routes, tenants."""


def packed(lines: Sequence[str]) -> str:
    """Return the parameter for rows whose cells are joined already."""
    return "\n".join(lines)
