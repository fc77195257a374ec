"""The table, and build/bench.json."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import processes
from tests.bench.figures import Target, bound_by, median_shares, notes
from tests.bench.stage import Result

_COLUMNS = (
    "row",
    "CPU µs",
    "ratio",
    "min-max",
    "PG µs",
    "load µs",
    "req/s",
    "p50 ms",
    "p99 ms",
    "MB",
    "bound by",
    "note",
)
SHARED_CORES = "load, upstream and PostgreSQL are on the workers' own cores"


def documents(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The rows as they are written."""
    return [_document(result) for result in results]


def _document(result: Result) -> dict[str, Any]:
    row: dict[str, Any] = {"name": result.spec.name}
    if not result.rounds:
        nothing = dict.fromkeys(("cpu_us", "cpu_ratio", "rps", "p50_ms", "p99_ms"))
        return row | nothing | {"bound_by": "", "note": result.missing or "it was not measured"}
    rounds = result.rounds
    is_yardstick = result.spec.name == result.spec.yardstick
    ratios = [1.0 if is_yardstick else each.cpu_us / each.yardstick_us for each in rounds]
    others = len(processes.OTHERS)
    row |= {
        "cpu_us": round(_median(rounds, "cpu_us"), 1),
        "cpu_ratio": round(statistics.median(ratios), 3),
        "rps": round(_median(rounds, "rps")),
        "p50_ms": round(_median(rounds, "p50_ms"), 3),
        "p99_ms": round(_median(rounds, "p99_ms"), 3),
        "bound_by": bound_by(median_shares(rounds), others),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "yardstick": result.spec.yardstick,
        "connections": result.spec.connections,
    }
    row |= {
        name: round(_median(rounds, name), 1) for name in ("postgres_us", "generator_us", "upstream_us", "memory_mb")
    }
    row |= {"capacity_rps": round(_median(rounds, "capacity")), "commits": round(_median(rounds, "commits"), 3)}
    # Each round by itself: what is compared is compared within a round.
    row["rounds_cpu_us"] = [round(each.cpu_us, 1) for each in rounds]
    row["rounds_cpu_with_postgres_us"] = [round(each.cpu_us + each.postgres_us, 1) for each in rounds]
    row["rounds_capacity_rps"] = [round(each.capacity) for each in rounds]
    row["shares"] = {name: round(share, 2) for name, share in median_shares(rounds).items()}
    about = [result.spec.about, SHARED_CORES if _shares_cores(result) else "", result.missing]
    found = [*filter(None, about[:2]), *notes(rounds, ratios, others), *filter(None, about[2:])]
    return row | ({"note": "; ".join(found)} if found else {})


def _shares_cores(result: Result) -> bool:
    from tests.bench.stage import cores_of

    kind, _, number = result.spec.subject.partition("-")
    return kind == "workers" and bool(frozenset.intersection(*cores_of(int(number))))


def _median(rounds: Sequence[Any], name: str) -> float:
    return statistics.median(getattr(each, name) for each in rounds)


def show(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rows."""
    table = Table(title="per request, medians; one core for what is measured", title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for row in rows:
        limits = "" if row.get("ratio_min") is None else f"{row['ratio_min']:.2f}-{row['ratio_max']:.2f}"
        names = ("postgres_us", "generator_us", "rps", "p50_ms", "p99_ms", "memory_mb", "bound_by", "note")
        rest = [_cell(row.get(name)) for name in names]
        table.add_row(row["name"], _cell(row["cpu_us"]), _cell(row["cpu_ratio"]), limits, *rest)
    console.print(table)


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def show_targets(console: Console, targets: Sequence[Target]) -> None:
    """Print what was aimed at."""
    table = Table(title="targets (ratios: CPU, naive-proxy = 1)", title_justify="left")
    for column in ("target", "figure", "limit", ""):
        table.add_column(column)
    said = {True: "met", False: "NOT met", None: "not measured"}
    for each in targets:
        figure = "" if each.figure is None else f"{each.figure:.2f}"
        table.add_row(each.name, figure, f"{'>=' if each.least else '<='} {each.limit:.2f}", said[each.met])
    console.print(table)
