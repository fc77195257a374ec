"""`make bench`: CPU, rate and latency of Panless beside a naive pass-through proxy, in one run.

Panless or the naive proxy has one core, everything else the other. Rows are interleaved and repeated; medians are
shown with the spread of their ratio. Ratios count, absolute figures move with the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench import auditing, load, rewriting
from tests.harness import configuration
from tests.harness.process import PanlessProcess

ROUNDS = 5
REQUESTS = 3000
CONNECTIONS = 32
PADDING = "x" * 90
CORES = (min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0)))


@dataclass
class Row:
    name: str
    subject: str
    url: str
    requests: Callable[[], list[bytes]]
    cpu_us: list[float] = field(default_factory=list)
    rps: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    bound_by: list[str] = field(default_factory=list)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _luhn(body: str) -> str:
    total = sum(int(d) if n % 2 else sum(divmod(2 * int(d), 10)) for n, d in enumerate(reversed(body)))
    return body + str(-total % 10)


class Numbers:
    """Card numbers that nobody has: a test prefix and a counter."""

    def __init__(self) -> None:
        self._next = time.time_ns() % 10**8

    def new(self) -> str:
        self._next += 1
        return _luhn(f"400000{self._next % 10**9:09}")


def _card(number: str) -> bytes:
    return json.dumps({"order": PADDING, "card": {"number": number, "holder": "J. Smith"}}).encode()


async def _start(module: str, *arguments: str, core: int) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )
    os.sched_setaffinity(process.pid, {CORES[core]})
    line = (await process.stdout.readline()).decode()
    return process, line.split("inbound=")[1].strip()


async def _measure(row: Row, pids: dict[str, int]) -> None:
    requests = row.requests()
    pid = pids[row.subject]
    before, own = _cpu_seconds(pid), time.process_time()
    measured = await load.run(row.url, requests, CONNECTIONS)
    if measured.statuses != {200}:
        raise SystemExit(f"{row.name}: answers were {measured.statuses}, nothing was measured")
    busy, generator = _cpu_seconds(pid) - before, time.process_time() - own
    row.cpu_us.append(busy / len(requests) * 1e6)
    row.rps.append(len(requests) / measured.seconds)
    row.p50_ms.append(measured.percentile(0.5) * 1e3)
    row.p99_ms.append(measured.percentile(0.99) * 1e3)
    shares = {"cpu of the proxy": busy / measured.seconds, "load generator": generator / measured.seconds}
    most = max(shares, key=lambda name: shares[name])
    row.bound_by.append(most if shares[most] > 0.8 else "other core: upstream, load, database")


def _report(rows: list[Row], more: dict[str, list[dict[str, object]]]) -> None:
    naive = rows[0]
    table = Table(title=f"{REQUESTS} requests x {ROUNDS}, {CONNECTIONS} connections, 200 bytes", title_justify="left")
    for column in ("row", "CPU µs", "ratio", "min-max", "requests/s", "p50 ms", "p99 ms", "bound by"):
        table.add_column(column)
    document = []
    for row in rows:
        ratios = [own / yard for own, yard in zip(row.cpu_us, naive.cpu_us, strict=True)]
        figures = {
            "name": row.name,
            "cpu_us": round(statistics.median(row.cpu_us), 1),
            "cpu_ratio": round(statistics.median(ratios), 3),
            "rps": round(statistics.median(row.rps)),
            "p50_ms": round(statistics.median(row.p50_ms), 2),
            "p99_ms": round(statistics.median(row.p99_ms), 2),
            "bound_by": statistics.mode(row.bound_by),
        }
        document.append(figures)
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        shown = [str(value) for value in figures.values()]
        table.add_row(*shown[:3], spread, *shown[3:])
    Console().print(table)
    target = Path("build/bench.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"rows": document} | more, indent=2) + "\n")
    print(f"written to {target}")


async def _rows(running: PanlessProcess, naive_url: str, key: str) -> list[Row]:
    numbers = Numbers()
    known = numbers.new()
    inbound, outbound = running.urls["inbound"], running.urls["outbound"]
    first = await load.run(inbound, [load.post("/checkout", _card(known))], 1)
    assert first.statuses == {200}
    tokens = await _tokens(running, inbound, [numbers.new() for _ in range(200)])
    plain = load.post("/upload/x", _card("not a card number"))
    header = f"Panless-Key: {key}\r\n"
    reveals = [load.post("/gateway/charges", _card(token), header) for token in tokens]
    return [
        Row("naive-proxy", "naive", naive_url, lambda: [plain] * REQUESTS),
        Row("pass-through", "panless", inbound, lambda: [plain] * REQUESTS),
        Row(
            "tokenize-new",
            "panless",
            inbound,
            lambda: [load.post("/checkout", _card(numbers.new())) for _ in range(REQUESTS)],
        ),
        Row("tokenize-known", "panless", inbound, lambda: [load.post("/checkout", _card(known))] * REQUESTS),
        Row("reveal", "panless", outbound, lambda: (reveals * (REQUESTS // len(reveals) + 1))[:REQUESTS]),
    ]


async def _tokens(running: PanlessProcess, inbound: str, cards: list[str]) -> list[str]:
    """Tokenize cards and read the tokens from the audit log."""
    await load.run(inbound, [load.post("/checkout", _card(card)) for card in cards], CONNECTIONS)
    events = await running.events("--action", "tokenize")
    return [token for event in events for token in event["tokens"]]


async def _bench(folder: Path) -> None:
    (folder / "audit").mkdir()
    upstream, upstream_url = await _start("tests.bench.upstream", core=1)
    naive, naive_url = await _start("tests.bench.naive_proxy", upstream_url, core=0)
    config = configuration.write(folder, upstream_url, upstream_url)
    running = PanlessProcess(config)
    try:
        await running.start()
        os.sched_setaffinity(running.pid, {CORES[0]})
        os.sched_setaffinity(0, {CORES[1]})
        rows = await _rows(running, naive_url, await running.add_app("shop"))
        with Progress(transient=True) as progress:
            task = progress.add_task("measuring", total=ROUNDS * len(rows))
            for _ in range(ROUNDS):
                for row in rows:
                    await _measure(row, {"naive": naive.pid, "panless": running.pid})
                    progress.advance(task)
        _report(rows, {"rewriting": rewriting.measure(), "auditing": await auditing.measure(folder / "audit")})
    finally:
        await running.stop()
        for process in (naive, upstream):
            process.terminate()
            await process.wait()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_bench(Path(folder)))


if __name__ == "__main__":
    main()
