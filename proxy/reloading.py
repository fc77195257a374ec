"""Reading configuration and secrets again while Panless runs: on SIGHUP, and on a timer.

What is wrong changes nothing. What is right takes over as a whole, after the event that says so is durable.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from proxy.compiled import Compiled
from proxy.config import Config, load_text, read
from proxy.edge.metrics import Metrics
from proxy.errors import RestartNeeded
from proxy.fetching import fetch
from proxy.settings import vault_settings
from vault.errors import PanlessError

# What is bound, connected or opened once, when Panless starts.
FIXED = ("data_dir", "workers", "database", "keys", "vault", "listen", "audit")

log = structlog.get_logger()


class Record(Protocol):
    async def __call__(self, action: str, *, reason: str | None = None, refusal: str | None = None) -> None:
        """Make an event durable."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration that could take over. `changed`: names of secrets; `news`: whether anything is different."""

    compiled: Compiled
    sha256: str
    changed: Sequence[str]
    news: bool


class Reloading:
    """Reads again. `current` is what is in force; `apply` lets another one take over, at once and without failing."""

    def __init__(
        self,
        current: Callable[[], Compiled],
        apply: Callable[[Compiled], None],
        record: Record,
        metrics: Metrics,
        sha256: str,
    ) -> None:
        self._current = current
        self._apply = apply
        self._record = record
        self._metrics = metrics
        self._asked = asyncio.Event()
        self._digest = sha256
        self._rejected = ""

    def ask(self) -> None:
        """Let it be read again now."""
        self._asked.set()

    async def run(self) -> None:
        """Read again whenever it is asked for, and when the time is up."""
        while True:
            try:
                async with asyncio.timeout(self._current().config.secrets.refresh_seconds):
                    await self._asked.wait()
            except TimeoutError:
                pass
            asked = self._asked.is_set()
            self._asked.clear()
            try:
                await self.reload(asked=asked)
            except PanlessError as error:
                log.warning("config_event_not_recorded", code=error.code)
            except Exception as error:  # the configuration that is in force stays
                log.error("config_reload_failed", exc_info=error)

    async def reload(self, *, asked: bool) -> None:
        """Read again once; raises StoreError if that cannot be recorded, and then nothing has changed."""
        config = self._current().config
        try:
            prepared = await self.prepare(read(config.file))
        except PanlessError as error:
            await self._reject(error, asked=asked)
            return
        if prepared.sha256 != digest(config):  # it was written to while it was read
            self.ask()
            return
        if prepared.news:
            await self.record(prepared)
        elif not asked:
            return
        self._rejected = ""
        self.take(prepared)
        self._metrics.reloads.labels("applied").inc()
        log.info("config_applied", secrets_changed=prepared.changed)

    async def prepare(self, text: str) -> Prepared:
        """Compile a configuration aside, with secrets as they are now; raises what is wrong with it."""
        before = self._current()
        config = load_text(text, before.config.file)
        check_fixed(before.config, config)
        secrets = await fetch(config)
        vault_settings(config, lambda: secrets)  # are the database's and the providers' secrets there?
        compiled = Compiled.compile(config, secrets)
        changed, sha256 = secrets.changed(before.secrets), digest_of(text)
        news = bool(changed) or sha256 != self._digest or config != before.config
        return Prepared(compiled, sha256, changed, news)

    async def record(self, prepared: Prepared) -> None:
        """Record that it takes over; raises StoreError."""
        names = ", ".join(prepared.changed) or "none"
        await self._record("config.change", reason=f"sha256 {prepared.sha256}; secrets changed: {names}")

    async def record_rejected(self, code: str, detail: str) -> None:
        """Record that one was rejected; raises StoreError."""
        await self._record("config.rejected", refusal=code, reason=detail)

    def take(self, prepared: Prepared) -> None:
        """Let it take over."""
        self._digest = prepared.sha256
        self._apply(prepared.compiled)

    async def _reject(self, error: PanlessError, *, asked: bool) -> None:
        self._metrics.reloads.labels("rejected").inc()
        log.warning("config_rejected", code=error.code, detail=error.detail)
        if asked or error.detail != self._rejected:  # the timer need not say the same thing again
            await self.record_rejected(error.code, error.detail)
        self._rejected = error.detail


def check_fixed(before: Config, after: Config) -> None:
    """Raise RestartNeeded if something differs that is set up only when Panless starts."""
    for name in FIXED:
        if getattr(before, name) != getattr(after, name):
            raise RestartNeeded(key=name)
    own, others = ({route.name: route.listener for route in each.outbound if route.bind} for each in (before, after))
    for name in sorted(own.keys() | others.keys()):
        if own.get(name) != others.get(name):
            raise RestartNeeded(key=f"bind of outbound route {name}")


def digest_of(text: str) -> str:
    """Return the SHA-256 of a configuration, for the record."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest(config: Config) -> str:
    """Return the SHA-256 of the configuration file as it is now, for the record."""
    try:
        return hashlib.sha256(config.file.read_bytes()).hexdigest()
    except OSError:
        return "-"
