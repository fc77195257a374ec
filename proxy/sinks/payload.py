"""What a sink is sent, and what every sink has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

from proxy.config.audit import AnySink
from vault.audit.formats import is_wanted, line_of
from vault.errors import AuditSinkFailed
from vault.feed import Batch, Note

_VERSION = version("panless")


@dataclass(frozen=True, slots=True)
class Payload:
    """Lines of events, or signed notes."""

    lines: Sequence[str]
    notes: Sequence[Note]

    def __len__(self) -> int:
        return len(self.lines) + len(self.notes)


class Sink(Protocol):
    """Takes payloads; whatever it raises but AuditSinkFailed is a mistake in it."""

    async def send(self, payload: Payload) -> None:
        """Return once the sink has all of it; raises AuditSinkFailed."""

    async def close(self) -> None:
        """Let go of what is held."""


def payload_of(batch: Batch, config: AnySink) -> Payload:
    """Return what of a batch a sink wants, in its format."""
    events = (entry for entry in batch.events if is_wanted(entry, config.only))
    return Payload([line_of(entry, config.format, _VERSION) for entry in events], batch.notes)


def failed(config: AnySink, reason: str) -> AuditSinkFailed:
    return AuditSinkFailed(sink=config.name, reason=reason)
