"""What is verified without a database: an export, checkpoints of anchors, proofs, and the keys that signed them.

An export is a folder: `events.jsonl` (one canonical body a line, in the order of the tree), `checkpoints` (signed
notes) and, if it does not begin with the first event, `start.json` (the tree before it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vault.audit.chains import members_of
from vault.audit.checkpoint import CheckpointRejected, read_checkpoint, read_start, split_notes
from vault.audit.findings import Finding, Kind, Signed
from vault.audit.proof import FIRST_LINE, Proof, read_proof
from vault.audit.tree import ProofRejected, Tree
from vault.audit.verification import Verifier
from vault.crypto import signed_note
from vault.errors import AuditEvidenceUnreadable

EVENTS, CHECKPOINTS, START = "events.jsonl", "checkpoints", "start.json"
PROGRESS_EVERY = 10_000

Progress = Callable[[int, int], None]


def nothing(_done: int, _total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a verification.

    `uncovered` of the `events` are in no checkpoint yet; `begins`, `size`: the leaves that are; `at`: of the newest
    checkpoint.
    """

    events: int
    chains: int
    uncovered: int
    checkpoints: int
    anchors: int
    begins: int
    size: int
    at: datetime | None
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class Demands:
    """What a log is held against: verifier keys, checkpoints of anchors, the time that it must reach."""

    keys: Sequence[str]
    anchors: Sequence[Path] = ()
    newer_than: datetime | None = None

    def anchored(self) -> list[Signed]:
        """Return the checkpoints of all anchors; raises AuditEvidenceUnreadable, also for a file that has none."""
        found = [signed_notes(file, self.keys) for file in self.anchors]
        for file, notes in zip(self.anchors, found, strict=True):
            if not notes:
                raise AuditEvidenceUnreadable(file=str(file), reason="no checkpoint stands there")
        return [each for notes in found for each in notes]


def read_keys(file: Path) -> list[str]:
    """Return the verifier keys (C2SP signed-note) of a file, one a line; raises AuditEvidenceUnreadable."""
    keys = [line.strip() for line in _text(file).splitlines() if line.strip() and not line.startswith("#")]
    if not keys or not all(signed_note.is_verifier_key(key) for key in keys):
        raise AuditEvidenceUnreadable(file=str(file), reason="a line is no verifier key, or there is none")
    return keys


def is_signed(note: str, keys: Sequence[str]) -> bool:
    """Tell whether one of the keys has signed a note."""
    for key in keys:
        try:
            signed_note.verify(note, key)
        except signed_note.NoteRejected:
            continue
        return True
    return False


def signed_notes(file: Path, keys: Sequence[str]) -> list[Signed]:
    """Read the checkpoints of a file; raises AuditEvidenceUnreadable."""
    try:
        found = [read_checkpoint(note) for note in split_notes(_text(file))]
    except CheckpointRejected:
        raise AuditEvidenceUnreadable(file=str(file), reason="what stands there is no checkpoint") from None
    return [Signed(each, is_signed(each.note, keys)) for each in found]


def verify_export(folder: Path, demands: Demands, progress: Progress = nothing) -> Report:
    """Verify an export from its first leaf to its last checkpoint; raises AuditEvidenceUnreadable."""
    start = _start(folder / START)
    own = signed_notes(folder / CHECKPOINTS, demands.keys)
    anchors = demands.anchored()
    verifier = Verifier(own, anchors, start=start)
    for line in _lines(folder / EVENTS):
        if b'"continues":' in line or b'"seq":1,' in line:
            members = members_of(line)
            if members and members.get("seq") == 1:
                verifier.chains.announce(str(members.get("chain")), line)
    total = verifier.size - start.size
    for line in _lines(folder / EVENTS):
        verifier.check(line)
        if verifier.events % PROGRESS_EVERY == 0:
            progress(verifier.events, total)
    return report(verifier, own, anchors, start, demands)


def report(
    verifier: Verifier, own: Sequence[Signed], anchors: Sequence[Signed], start: Tree, demands: Demands
) -> Report:
    """Finish a verification."""
    findings = verifier.finish(newer_than=demands.newer_than)
    at = max((each.checkpoint.at for each in own if each.trusted and each.checkpoint.at), default=None)
    counts = (verifier.events + verifier.uncovered, len(verifier.chains), verifier.uncovered, len(own), len(anchors))
    return Report(*counts, start.size, verifier.size, at, findings)


def verify_proof(file: Path, keys: Sequence[str]) -> tuple[Proof | None, list[Finding]]:
    """Verify that one event is in the log; raises AuditEvidenceUnreadable."""
    text = _text(file)
    if text.count(f"{FIRST_LINE}\n") > 1:
        raise AuditEvidenceUnreadable(file=str(file), reason="it holds several proofs; put each into a file of its own")
    try:
        proof = read_proof(text)
    except ProofRejected:
        return None, [Finding(Kind.CHANGED, "the proof does not lead from this event to the root of its checkpoint")]
    if not is_signed(proof.checkpoint.note, keys):
        return proof, [Finding(Kind.UNSIGNED, "no given key has signed its checkpoint", index=proof.index)]
    return proof, []


def _start(file: Path) -> Tree:
    if not file.exists():
        return Tree()
    try:
        return read_start(_text(file))
    except CheckpointRejected as error:
        raise AuditEvidenceUnreadable(file=str(file), reason=str(error)) from None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise AuditEvidenceUnreadable(file=str(file), reason="it cannot be read") from None


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as lines:
            for line in lines:
                yield line.removesuffix(b"\n")
    except OSError:
        raise AuditEvidenceUnreadable(file=str(file), reason="it cannot be read") from None
