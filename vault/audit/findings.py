"""What verification reports: findings, and what it was given as signed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vault.audit.checkpoint import Checkpoint


class Kind(StrEnum):
    """What was done to the log, as far as it shows."""

    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    INSERTED = "inserted"
    FORKED = "forked"
    CUT_OFF = "cut_off"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, and where: at an event of a chain, at a leaf of the tree, or both."""

    kind: Kind
    problem: str
    chain: str | None = None
    seq: int | None = None
    index: int | None = None

    def __str__(self) -> str:
        places = [f"chain {self.chain} event {self.seq}"] if self.chain is not None else []
        places += [f"leaf {self.index}"] if self.index is not None else []
        return f"{self.kind}: {', '.join(places)}{': ' if places else ''}{self.problem}"


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint, and whether a key that is trusted has signed it."""

    checkpoint: Checkpoint
    trusted: bool
