"""Tables for narrow terminals: two lines a row, so that an id stays whole at 80 columns and can be copied."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

Pair = tuple[str, str]


def show_pairs(columns: Sequence[str], rows: Sequence[Sequence[Pair]]) -> None:
    """Print rows; of each cell the first line is what the column is named after. The first column is never broken."""
    if not rows:
        Console().print("There are none.")
        return
    shown = Table(box=box.SIMPLE_HEAD, show_lines=False)
    for number, column in enumerate(columns):
        shown.add_column(column, no_wrap=number != 1, overflow="fold")
    for row in rows:
        shown.add_row(*(f"{first}\n[dim]{second}[/dim]" for first, second in row))
    Console().print(shown)
