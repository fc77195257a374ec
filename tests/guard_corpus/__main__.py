"""How often is the guard wrong? `make guard-corpus` prints a table and writes build/guard.json."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.guard_corpus.count import CHUNK, Counts, counted

_FILE = Path(__file__).parents[2] / "build" / "guard.json"


def run(documents: int, seed: int) -> Counts:
    """Count over a corpus; the same seed gives the same figures, on any number of cores."""
    jobs = [(seed, at // CHUNK, min(CHUNK, documents - at)) for at in range(0, documents, CHUNK)]
    total = Counts()
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for counts in track(pool.imap(counted, jobs), "documents", len(jobs), console=Console(stderr=True)):
            total.add(counts)
    return total


def _rows(of: Counter[str], wrong: Counter[str]) -> list[dict[str, object]]:
    return [{"name": name, "count": count, "wrong": wrong[name]} for name, count in sorted(of.items())]


def report(counts: Counts, seed: int) -> dict[str, object]:
    return {
        "documents": counts.documents,
        "seed": seed,
        "documents_with_false_alarm": counts.false_documents,
        "false_alarms": _rows(counts.values, counts.alarms),
        "misses": _rows(counts.cards, counts.misses),
        "examples": counts.examples,
    }


def _table(title: str, of: Counter[str], wrong: Counter[str]) -> Table:
    table = Table(title, "count", "wrong", "per million")
    for name, count in sorted(of.items()):
        table.add_row(name, f"{count:,}", f"{wrong[name]:,}", f"{wrong[name] * 1e6 / count:,.0f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    counts = run(options.documents, options.seed)
    console = Console()
    console.print(_table("taken for a card number", counts.values, counts.alarms))
    console.print(_table("card number missed", counts.cards, counts.misses))
    console.print(f"{counts.false_documents:,} of {counts.documents:,} documents have a false alarm")
    _FILE.parent.mkdir(exist_ok=True)
    _FILE.write_text(json.dumps(report(counts, options.seed), indent=1))


if __name__ == "__main__":
    main()
