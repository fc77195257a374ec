"""One measurement of one row."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import asyncpg

from tests.bench import figures, processes
from tests.bench.catalog import Spec
from tests.bench.figures import Round
from tests.bench.generator import Generator
from tests.bench.load import Job, Measured
from tests.bench.site import Site

SECONDS = 1.0
BESIDE = 0.15
MOST_REQUESTS = 20_000
MOST_BYTES = 64_000_000
LARGE = 100_000
LEFT_SECONDS = 60
WRITTEN = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


@dataclass
class Subject:
    """What is measured: a Panless (`site`), or something else at one URL. `cores`: those it has, and those of the rest.

    `connection`: to its database; `fsync_ms`: what a commit waits there for the disk.
    """

    pid: int
    urls: dict[str, str]
    site: Site | None = None
    cores: tuple[frozenset[int], frozenset[int]] = (processes.MEASURED, processes.OTHERS)
    connection: asyncpg.Connection | None = None
    fsync_ms: list[float] = field(default_factory=list)
    commit_ms: list[float] = field(default_factory=list)

    def url(self, listener: str) -> str:
        return self.urls.get(listener, self.urls["inbound"])

    def measured(self) -> list[int]:
        return self.site.measured() if self.site else processes.tree(self.pid)

    def postgres(self) -> list[int]:
        return self.site.postgres() if self.site else []

    def place(self) -> None:
        processes.pin(self.measured(), self.cores[0])
        processes.pin(self.postgres(), self.cores[1])


@dataclass
class _Reading:
    """CPU seconds so far: of each measured process, of the database, the upstream, the measured cores."""

    at: float
    own: dict[int, float]
    postgres: float
    upstream: float
    busy: float

    @classmethod
    def of(cls, subject: Subject, upstream: int) -> _Reading:
        return cls(
            time.perf_counter(),
            {pid: processes.cpu_seconds([pid]) for pid in subject.measured()},
            processes.cpu_seconds(subject.postgres()),
            processes.cpu_seconds([upstream]),
            processes.busy_seconds(subject.cores[0]),
        )


class Meter:
    """Measures rows, each with a number of requests that takes about a second."""

    def __init__(self, generator: Generator, upstream: int) -> None:
        self.generator = generator
        self._upstream = upstream
        self._counts: dict[str, int] = {}
        self._pace: dict[str, float] = {}

    async def warm(self, spec: Spec, subject: Subject) -> None:
        """Send some, and find out how many are a second's."""
        subject.place()
        least = max(2 * spec.connections, 100)
        made = await spec.make(subject.site, self.generator, least)
        large = len(made[0]) > LARGE
        job = self._job(spec, subject, made[: spec.connections] if large else made)
        measured = await self.generator.run(job)
        await _nothing_left(spec, subject)
        rate = len(measured.latencies) / max(measured.seconds, 1e-3)
        if spec.paced:
            rate = self._pace.setdefault(spec.subject, rate / 4)
        most = min(MOST_REQUESTS, max(1, MOST_BYTES // len(made[0])))
        self._counts[spec.name] = max(spec.connections if large else least, min(most, int(rate * SECONDS)))

    def _job(self, spec: Spec, subject: Subject, requests: list[bytes]) -> Job:
        ca = subject.site.ca if subject.site else None
        rate = self._pace[spec.subject] if spec.paced and spec.name in self._counts else 0
        return Job(subject.url(spec.listener), requests, spec.connections, ca, rate=rate)

    async def beside(self, spec: Spec, subject: Subject, yardstick: Spec, naive: Subject) -> Round:
        """Measure a row, and its yardstick shortly before and after: a machine is not equally fast at all times."""
        before = await self.measure(yardstick, naive, BESIDE)
        done = await self.measure(spec, subject)
        after = await self.measure(yardstick, naive, BESIDE)
        done.yardstick_us = (before.cpu_us + after.cpu_us) / 2
        return done

    async def measure(self, spec: Spec, subject: Subject, share: float = 1) -> Round:
        """Measure a row once. `share`: of the requests that it takes usually."""
        subject.place()  # a worker or a backend may be new
        count = max(spec.connections, int(self._counts[spec.name] * share))
        made = await spec.make(subject.site, self.generator, count)
        await self.generator.ready(self._job(spec, subject, list(made)))
        commits = await _written(subject)
        before = _Reading.of(subject, self._upstream)
        measured = await self.generator.go()
        left = await _nothing_left(spec, subject)
        after = _Reading.of(subject, self._upstream)
        done = self._round(subject, measured, before, after)
        done.commits = (await _written(subject) - commits) / max(1, len(measured.latencies))
        fsync = figures.percentile(subject.fsync_ms, 0.5) / 1e3 * done.commits * len(measured.latencies)
        done.shares = {**done.shares, figures.FSYNC: fsync / (after.at - before.at)}
        done.problem = _problem(spec, measured, left)
        return done

    def _round(self, subject: Subject, measured: Measured, before: _Reading, after: _Reading) -> Round:
        seconds, count = after.at - before.at, max(1, len(measured.latencies))
        each = [cpu - before.own.get(pid, 0) for pid, cpu in after.own.items()]
        own, postgres, upstream = sum(each), after.postgres - before.postgres, after.upstream - before.upstream
        cores, others = subject.cores
        foreign = 0.0 if cores & others else (after.busy - before.busy - own) / seconds / len(cores)
        return Round(
            cpu_us=own / count * 1e6,
            postgres_us=postgres / count * 1e6,
            generator_us=measured.cpu_seconds / count * 1e6,
            upstream_us=upstream / count * 1e6,
            rps=count / max(measured.seconds, 1e-3),
            p50_ms=figures.percentile(measured.latencies, 0.5) * 1e3,
            p99_ms=figures.percentile(measured.latencies, 0.99) * 1e3,
            memory_mb=processes.resident_mb(subject.measured()),
            shares={
                figures.PROXY: own / seconds / len(cores),
                figures.POSTGRES: postgres / seconds,
                figures.GENERATOR: measured.cpu_seconds / measured.seconds,
                figures.UPSTREAM: upstream / seconds,
            },
            foreign=max(0.0, foreign),
            capacity=count / max(*each, 1e-6),
        )


async def _written(subject: Subject) -> int:
    """How many transactions have written so far."""
    return await subject.connection.fetchval(WRITTEN) if subject.connection else 0


async def _nothing_left(spec: Spec, subject: Subject) -> int:
    """Wait until nothing is left to do of what was sent; returns how much still is after a minute."""
    if not spec.left:
        return 0
    deadline = time.monotonic() + LEFT_SECONDS
    while (left := await subject.connection.fetchval(spec.left)) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    return left


def _problem(spec: Spec, measured: Measured, left: int) -> str:
    if measured.problem:
        return measured.problem
    if set(measured.statuses) != {spec.expected}:
        return f"answers were {', '.join(f'{n} x {status}' for status, n in sorted(measured.statuses.items()))}"
    return f"{left} were left to do after a minute" if left else ""
