"""What is aimed at, worked out from the figures of one run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.catalog import cards_said
from tests.bench.figures import Target

RATIOS = {"pass-through": 0.40, "tokenize-new": 0.85, "tokenize-known": 0.70, "reveal": 0.85}
SWAPS = ("tokenize-new", "tokenize-known", "reveal")
MITMPROXY_TIMES = 10
LATENCY_OVER_COMMIT_MS = 1.0
TABLE_TIMES = 1.3
WORKERS_TIMES = 1.7
START_SECONDS = 2.0
MEMORY_MB = 120.0
BULK_SHARE = 0.5

Rows = Mapping[str, Mapping[str, Any]]


def targets(rows: Sequence[Mapping[str, Any]], commit_ms: float | None, sizes: Sequence[int]) -> list[Target]:
    """The targets of rows: the four ratios, and those of the others that were measured."""
    by_name = {row["name"]: row for row in rows}
    found = [Target(f"{name}: ratio", _figure(by_name, name, "cpu_ratio"), limit) for name, limit in RATIOS.items()]
    found.append(Target("mitmproxy over Panless, CPU", _over_mitmproxy(by_name), MITMPROXY_TIMES, least=True))
    if commit_ms is not None:
        limit = round(commit_ms + LATENCY_OVER_COMMIT_MS, 3)
        for said, more in (("all connections busy", ""), ("a quarter of reveal's rate", " paced")):
            added = _added_ms(by_name, more)
            found.append(Target(f"reveal over pass-through, p50 ms, {said} (a commit + 1 ms)", added, limit))
    if len(sizes) > 1:
        said = f"{cards_said(max(sizes))} over {cards_said(min(sizes))}"
        found.append(Target(f"{said}, CPU of Panless", _larger(by_name, sizes, "cpu_us"), TABLE_TIMES))
        both = _larger(by_name, sizes, "cpu_with_postgres_us")
        found.append(Target(f"{said}, CPU with PostgreSQL", both, TABLE_TIMES))
    found += [
        Target(
            f"{name}: 2 workers over 1, requests per second of a worker's CPU",
            _workers(by_name, name),
            WORKERS_TIMES,
            least=True,
        )
        for name in ("pass-through", "tokenize-new", "reveal")
    ]
    return [each for each in found if each.figure is not None or each.name.endswith(": ratio")]


def _figure(rows: Rows, name: str, key: str) -> float | None:
    return rows[name].get(key) if name in rows else None


def _times(rows: Rows, above: str, below: str, key: str) -> float | None:
    """The median, over the rounds, of one row's figure over another one's."""
    pairs = zip(*(rows.get(name, {}).get(f"rounds_{key}", ()) for name in (above, below)), strict=False)
    return statistics.median(times) if (times := [one / other for one, other in pairs if other]) else None


def _over_mitmproxy(rows: Rows) -> float | None:
    """Of what swaps a field in Panless, too, the dearest."""
    return min(filter(None, (_times(rows, "mitmproxy", name, "cpu_us") for name in SWAPS)), default=None)


def _added_ms(rows: Rows, more: str) -> float | None:
    reveal, passing = (_figure(rows, name + more, "p50_ms") for name in ("reveal", "pass-through"))
    return reveal - passing if reveal is not None and passing is not None else None


def _larger(rows: Rows, sizes: Sequence[int], key: str) -> float | None:
    """The row that a larger table makes dearer than the others."""
    large, small = cards_said(max(sizes)), cards_said(min(sizes))
    return max(filter(None, (_times(rows, f"{name} {large}", f"{name} {small}", key) for name in SWAPS)), default=None)


def _workers(rows: Rows, name: str) -> float | None:
    return _times(rows, f"{name} 2 workers", f"{name} 1 worker", "capacity_rps")
