"""Who is on stage: the upstream, the load generator, and the subjects of the rows of one group."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from tests.bench import commits, configuring, peers, processes, site, tables
from tests.bench.catalog import Spec
from tests.bench.figures import Round
from tests.bench.generator import Generator
from tests.bench.measuring import Meter, Subject
from tests.bench.requests import prime
from tests.bench.site import Missing


@dataclass
class Result:
    """What came of a row; `missing` says why there is nothing. `commit_ms`: of the database, meanwhile."""

    spec: Spec
    rounds: list[Round] = field(default_factory=list)
    missing: str = ""
    commit_ms: list[float] = field(default_factory=list)
    fsync_ms: list[float] = field(default_factory=list)


class Stage:
    """`folder` is empty, and has the certificates; `upstream`: its pid and URLs."""

    def __init__(self, folder: Path, upstream: tuple[int, dict[str, str]], generator: Generator) -> None:
        self.folder = folder
        self.upstream = upstream[1]
        self.generator = generator
        self._started = 0
        self._meter = Meter(generator, upstream[0])
        processes.pin([upstream[0], generator.pid], processes.OTHERS)

    async def perform(self, specs: Sequence[Spec], progress: Progress) -> list[Result]:
        """Measure the rows of a group, interleaved."""
        results = [Result(spec) for spec in specs]
        by_name = {spec.name: spec for spec in specs}
        task = progress.add_task(specs[0].group, total=sum(1 + spec.rounds for spec in specs))
        async with AsyncExitStack() as running:
            subjects = await self._subjects(results, running, lambda said: progress.update(task, description=said))
            for turn in range(1 + max(spec.rounds for spec in specs)):
                await self._commits(subjects)
                for result in results:
                    if turn > result.spec.rounds:
                        continue
                    progress.update(task, description=f"{result.spec.group}: {result.spec.name}")
                    await self._turn(result, subjects, turn, by_name[result.spec.yardstick])
                    progress.advance(task)
            for result in results:
                if (subject := subjects.get(result.spec.subject)) is not None:
                    result.commit_ms, result.fsync_ms = subject.commit_ms, subject.fsync_ms
        progress.remove_task(task)
        return results

    async def _turn(self, result: Result, subjects: dict[str, Subject], turn: int, yardstick: Spec) -> None:
        """The first turn warms up. A row that cannot be measured says so, and the others go on."""
        spec, subject, naive = result.spec, subjects.get(result.spec.subject), subjects.get(yardstick.subject)
        if subject is None or naive is None or result.missing:
            return
        try:
            if turn == 0:
                await self._meter.warm(spec, subject)
            elif spec is yardstick:
                result.rounds.append(await self._meter.measure(spec, subject))
            else:
                result.rounds.append(await self._meter.beside(spec, subject, yardstick, naive))
        except (OSError, LookupError, ValueError) as error:
            result.missing = f"could not be measured ({type(error).__name__}: {error})"

    async def _commits(self, subjects: dict[str, Subject]) -> None:
        for subject in subjects.values():
            if subject.connection is not None:
                commit, fsync = await commits.measure(subject.connection)
                subject.commit_ms.append(commit)
                subject.fsync_ms.append(fsync)

    async def _subjects(
        self, results: Sequence[Result], running: AsyncExitStack, say: Callable[[str], None]
    ) -> dict[str, Subject]:
        subjects: dict[str, Subject] = {}
        missing: dict[str, str] = {}
        for result in results:
            name = result.spec.subject
            if name not in subjects and name not in missing:
                say(f"{result.spec.group}: starting {name}")
                try:
                    subjects[name] = await running.enter_async_context(self._subject(name))
                except Missing as reason:
                    missing[name] = str(reason)
            result.missing = missing.get(name, "")
        return subjects

    @asynccontextmanager
    async def _subject(self, name: str) -> AsyncIterator[Subject]:
        if name == "naive":
            async with site.module("tests.bench.naive_proxy", self.upstream["inbound"]) as (pid, urls):
                yield Subject(pid, urls)
        elif name in ("nginx", "mitmproxy"):
            async with getattr(peers, name)(self.folder / name, self.upstream["inbound"]) as (pid, url):
                yield Subject(pid, {"inbound": url})
        else:
            async with self.panless(name) as subject:
                yield subject

    @asynccontextmanager
    async def panless(self, name: str) -> AsyncIterator[Subject]:
        """One with what its name asks for: `panless`, `panless-tls`, `workers-2`, `cards-1000`."""
        kind, _, number = name.partition("-")
        workers = int(number) if kind == "workers" else 1
        if workers > 1 and not site.has_workers():
            raise Missing("this release has no `panless serve --workers`")
        self._started += 1
        config = configuring.configure(self.folder / f"{name}-{self._started}", self.upstream, tls=number == "tls")
        options = ("--workers", str(workers)) if workers > 1 else ()
        async with site.serving(config, *options) as running:
            running.ca = str(self.folder / "ca.pem")
            await prime(running, self.generator)
            if kind == "cards":
                await tables.fill(running, int(number))
            connection = await running.connect()
            try:
                yield Subject(running.pid, running.urls, running, cores_of(workers), connection)
            finally:
                await connection.close()


def cores_of(workers: int) -> tuple[frozenset[int], frozenset[int]]:
    """The cores of so many workers, and those of all else: the same ones, where there are not enough."""
    if workers == 1:
        return processes.MEASURED, processes.OTHERS
    if len(processes.CORES) > workers:
        return frozenset(processes.CORES[:workers]), frozenset(processes.CORES[workers:])
    return processes.ALL, processes.ALL
