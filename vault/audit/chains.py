"""All chains of a log at once: numbers without gaps, each event naming the hash of the one before it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from vault.audit.chain import GENESIS
from vault.audit.findings import Finding, Kind

Gap = tuple[int, int]

_decoded = json.JSONDecoder().decode  # made once: a log has millions of events


class Chains:
    """Follows all chains at once. `whole`: the log is here from its first event on."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._heads: dict[str, tuple[int, bytes | None]] = {}
        self._gaps: dict[str, list[Gap]] = {}
        # (chain, number) of a predecessor -> the hash that a chain gives it, and that chain
        self._named: dict[tuple[str, int], list[tuple[str, str]]] = {}
        self._rootless: list[str] = []

    def __len__(self) -> int:
        return len(self._heads)

    def announce(self, chain: str, body: bytes) -> None:
        """Take note of what the first event of a chain names as before it; do so for all chains beforehand."""
        members = members_of(body)
        continues = members.get("continues") if members else None
        if not isinstance(continues, list) or not continues:
            self._rootless.append(chain)
            return
        for each in continues:
            match each:
                case {"chain": str(named), "seq": int(seq), "hash": str(its_hash)}:
                    self._named.setdefault((named, seq), []).append((chain, its_hash))
                case _:
                    self._rootless.append(chain)

    def follow(self, chain: str, seq: int, prev: object, leaf: bytes) -> Finding | None:
        """Take the next event that was read; `prev` is the hash that it gives the one before it."""
        found = None
        head = self._heads.get(chain)
        if head is None:
            head = (0, GENESIS) if self._whole else (seq - 1, None)
        if seq <= head[0]:
            return self._again(chain, seq)
        if seq > head[0] + 1:
            self._gaps.setdefault(chain, []).append((head[0] + 1, seq - 1))
        elif head[1] is not None and prev != head[1].hex():
            found = Finding(Kind.CHANGED, f"event {seq} names another hash before it", chain, seq - 1)
        self._heads[chain] = (seq, leaf)
        if self._named and (named := self._named.pop((chain, seq), None)) and any(h != leaf.hex() for _, h in named):
            return Finding(Kind.CHANGED, f"chain {named[0][0]} gives it another hash", chain, seq)
        return found

    def gaps(self) -> list[Finding]:
        return [
            Finding(Kind.MISSING, f"events {low} to {high} of the chain are not there", chain, low)
            for chain, gaps in self._gaps.items()
            for low, high in gaps
        ]

    def finish(self) -> Iterator[Finding]:
        """Report what only the end shows: gaps, predecessors that were never met, chains that name none."""
        yield from self.gaps()
        if not self._whole:
            return
        for (chain, seq), successors in self._named.items():
            for successor, _ in successors:
                yield Finding(Kind.MISSING, f"chain {successor} began after this event", chain, seq)
        for chain in self._rootless[1:]:
            yield Finding(Kind.INSERTED, "the chain names no predecessor, and it is not the first one", chain, 1)

    def _again(self, chain: str, seq: int) -> Finding:
        gaps = self._gaps.get(chain, [])
        for place, (low, high) in enumerate(gaps):
            if low <= seq <= high:
                gaps[place : place + 1] = [gap for gap in ((low, seq - 1), (seq + 1, high)) if gap[0] <= gap[1]]
                return Finding(Kind.REORDERED, "it stands after an event that came later", chain, seq)
        return Finding(Kind.INSERTED, "there is another event of this number", chain, seq)


def members_of(body: bytes) -> dict[str, object] | None:
    """Return what a body says, None if it is not JSON or no object."""
    try:
        members = _decoded(body.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None
