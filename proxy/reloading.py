"""Reading configuration and secrets again while Panless runs: on SIGHUP, and on a timer.

What is wrong changes nothing. What is right takes over as a whole, after the event that says so is durable.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Protocol

import structlog

from proxy.compiled import Compiled
from proxy.config import Config, load
from proxy.edge.metrics import Metrics
from proxy.errors import RestartNeeded
from proxy.fetching import fetch
from proxy.settings import vault_settings
from vault.errors import PanlessError

# What is bound, connected or opened once, when Panless starts.
FIXED = ("data_dir", "database", "keys", "vault", "listen", "audit")

log = structlog.get_logger()


class Record(Protocol):
    async def __call__(self, action: str, *, reason: str | None = None, refusal: str | None = None) -> None:
        """Make an event durable."""


class Reloading:
    """Reads again. `current` is what is in force; `apply` lets another one take over, at once and without failing."""

    def __init__(
        self, current: Callable[[], Compiled], apply: Callable[[Compiled], None], record: Record, metrics: Metrics
    ) -> None:
        self._current = current
        self._apply = apply
        self._record = record
        self._metrics = metrics
        self._asked = asyncio.Event()
        self._digest = digest(current().config)
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
        before = self._current()
        found = digest(before.config)
        try:
            config = load(before.config.file)
            check_fixed(before.config, config)
            secrets = await fetch(config)
            vault_settings(config, lambda: secrets)  # are the database's and the providers' secrets there?
            compiled = Compiled.compile(config, secrets)
        except PanlessError as error:
            await self._reject(error, asked=asked)
            return
        if found != digest(config):  # it was written to while it was read
            self.ask()
            return
        changed = secrets.changed(before.secrets)
        if changed or found != self._digest or config != before.config:
            names = ", ".join(changed) or "none"
            await self._record("config.change", reason=f"sha256 {found}; secrets changed: {names}")
        elif not asked:
            return
        self._digest, self._rejected = found, ""
        self._apply(compiled)
        self._metrics.reloads.labels("applied").inc()
        log.info("config_applied", secrets_changed=changed)

    async def _reject(self, error: PanlessError, *, asked: bool) -> None:
        self._metrics.reloads.labels("rejected").inc()
        log.warning("config_rejected", code=error.code, detail=error.detail)
        if asked or error.detail != self._rejected:  # the timer need not say the same thing again
            await self._record("config.rejected", refusal=error.code, reason=error.detail)
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


def digest(config: Config) -> str:
    """Return the SHA-256 of the configuration file as it is now, for the record."""
    try:
        return hashlib.sha256(config.file.read_bytes()).hexdigest()
    except OSError:
        return "-"
