"""Verification: reads stored events in the order (chain, seq) and names everything that is wrong with them.

It trusts nothing but the hashes: the columns beside a body are compared with it, and what a chain names as before it
has to be there as it was when the chain began. What it cannot see without signed checkpoints: events cut off since the
newest chain began, chains that a writer added, and a history that was computed anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from vault.audit.chain import Head, leaf_hash
from vault.audit.event import canonical


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of the log: where it stands, its hash and canonical body, and the columns that repeat the body."""

    chain: UUID
    seq: int
    hash: bytes
    body: bytes
    columns: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: in which chain, at which number, and what."""

    chain: str
    seq: int
    problem: str


class Verifier:
    """Walks all chains once. Give it the first event of every chain beforehand, then each event in order."""

    def __init__(self, first_events: Iterable[StoredEvent]) -> None:
        self.events = 0
        self._head: Head | None = None
        self._chains = 0
        # (chain, seq) of a predecessor -> the hash it had and the chains that named it
        self._named: dict[tuple[str, int], list[tuple[str, str]]] = {}
        self._rootless: list[str] = []
        for first in first_events:
            self._note_predecessor(first)

    def _note_predecessor(self, first: StoredEvent) -> None:
        members = _members(first.body) or {}
        continues = members.get("continues")
        if not isinstance(continues, list) or not continues:
            self._rootless.append(str(first.chain))
            return
        for each in continues:
            match each:
                case {"chain": str(chain), "seq": int(seq), "hash": str(named_hash)}:
                    self._named.setdefault((chain, seq), []).append((str(first.chain), named_hash))
                case _:
                    self._rootless.append(str(first.chain))

    def check(self, stored: StoredEvent) -> Iterator[Finding]:
        """Check the next event against what came before it in its chain."""
        self.events += 1
        if self._head is None or self._head.chain != stored.chain:
            self._head = Head(stored.chain)
            self._chains += 1
        head, self._head = self._head, Head(stored.chain, stored.seq, stored.hash)
        for problem in _problems(stored, head):
            yield Finding(str(stored.chain), stored.seq, problem)
        for successor, named_hash in self._named.pop((str(stored.chain), stored.seq), ()):
            if named_hash != stored.hash.hex():
                yield Finding(str(stored.chain), stored.seq, f"changed: chain {successor} names another hash")

    def finish(self) -> Iterator[Finding]:
        """Report what only the end shows: predecessors that were never met, and chains that name none."""
        for (chain, seq), successors in self._named.items():
            for successor, _ in successors:
                yield Finding(chain, seq, f"missing: chain {successor} began after this event")
        for chain in self._rootless[1:]:
            yield Finding(chain, 1, "inserted: the chain names no predecessor, and it is not the first one")


def _members(body: bytes) -> dict[str, object] | None:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def _problems(stored: StoredEvent, head: Head) -> Iterator[str]:
    if leaf_hash(stored.body) != stored.hash:
        yield "changed: the body does not have the hash that is stored beside it"
    if stored.seq != head.seq + 1:
        yield f"missing: number {head.seq + 1} should stand here"
    members = _members(stored.body)
    if members is None or canonical(members) != stored.body:
        yield "changed: the body is not in canonical form"
        return
    if members.get("chain") != str(stored.chain) or members.get("seq") != stored.seq:
        yield "moved: the body belongs to another place in the log"
    if stored.seq == head.seq + 1 and members.get("prev") != head.hash.hex():
        yield "broken: the body does not name the hash of the event before it"
    if any(members.get(name) != value for name, value in stored.columns.items()):
        yield "changed: the columns do not say what the body says"
