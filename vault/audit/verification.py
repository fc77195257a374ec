"""Verification: reads events in the order of the tree and names everything that is wrong with them. Pure.

It needs the events, the checkpoints and, from elsewhere, the keys that signed them; further checkpoints from anchors
show what the log was at other moments. Each root is computed from the events alone. Where a root is not what was
signed, the chains tell what was done; where they are in order, too, the number of events does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from vault.audit.chain import leaf_hash
from vault.audit.chains import Chains, members_of
from vault.audit.checkpoint import Checkpoint
from vault.audit.event import canonical
from vault.audit.findings import Finding, Kind, Signed
from vault.audit.tree import Tree

__all__ = ["Finding", "Kind", "Signed", "StoredEvent", "Verifier"]

# A log that is older has a checkpoint, or somebody has taken them all away.
YOUNG = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of the log: where it stands, its hash and canonical body, and the columns that repeat the body."""

    chain: UUID
    seq: int
    hash: bytes
    body: bytes
    columns: Mapping[str, object]


class Verifier:
    """Give it the checkpoints; `announce` the first event of every chain, `check` each event in order, `finish`."""

    def __init__(
        self, checkpoints: Sequence[Signed], anchors: Sequence[Signed] = (), *, start: Tree | None = None
    ) -> None:
        self._start = start or Tree()
        self._tree = Tree(self._start.size, self._start.peaks)
        self.chains = Chains(whole=self._start.size == 0)
        self.findings: list[Finding] = []
        self.events = 0
        self.uncovered = 0
        self._times: set[str] = set()
        self._own = [each.checkpoint for each in checkpoints if each.trusted]
        self._anchors = [each.checkpoint for each in anchors if each.trusted]
        self._by_size: dict[int, list[Checkpoint]] = {}
        self._good = self._start.size
        self._bad: int | None = None
        self._last: tuple[str, int] | None = None
        self._disorder: list[Finding] = []
        self._forks: list[Finding] = []
        self._begin([*checkpoints, *anchors], [each.checkpoint for each in checkpoints])

    def _begin(self, given: Sequence[Signed], own: Sequence[Checkpoint]) -> None:
        for each in given:
            if not each.trusted:
                self._find(Kind.UNSIGNED, f"no given key has signed the checkpoint of size {each.checkpoint.size}")
        sizes = [each.size for each in own]
        if sizes != sorted(sizes):
            self._find(Kind.REORDERED, "the checkpoints are not in the order of their sizes")
        if len({each.origin for each in (*self._own, *self._anchors)}) > 1:
            self._find(Kind.FORKED, "the checkpoints are of different logs")
        for checkpoint in self._own:
            self._by_size.setdefault(checkpoint.size, []).append(checkpoint)
        if self._start.size and self._start.size not in self._by_size:
            self._find(Kind.UNSIGNED, f"no signed checkpoint has the size {self._start.size} at which the log begins")
        for anchor in self._anchors:
            self._by_size.setdefault(anchor.size, []).append(anchor)
        self._compare()

    @property
    def size(self) -> int:
        """The size of the newest checkpoint of the log itself."""
        return max((each.size for each in self._own), default=self._start.size)

    def check(self, body: bytes, row: StoredEvent | None = None, index: int | None = None) -> None:
        """Check the next event: of an export by its body alone; of a database by its row and index, too."""
        if index is not None and index != self._tree.size and self._bad is None:
            self._find(Kind.MISSING, f"the events before leaf {index} are not there", index=self._tree.size)
            self._bad = self._tree.size
        at, leaf = self._tree.size, leaf_hash(body)
        self.events += 1
        self._tree.append(leaf)
        self._follow(body, leaf, row, at)
        if self._tree.size in self._by_size:
            self._compare()

    def check_uncovered(self, row: StoredEvent) -> None:
        """Check an event that no checkpoint covers yet, after all those that are covered."""
        self.uncovered += 1
        self._times |= {str(row.columns.get("at"))}
        self._times = {min(self._times), max(self._times)}
        self._last = None
        self._follow(row.body, leaf_hash(row.body), row, None)

    def finish(self, *, newer_than: datetime | None = None) -> list[Finding]:
        """Return all findings."""
        self.findings += self.chains.finish()
        self.findings += self._forks if self._bad is None else []
        self.findings += self._ending()
        for anchor in self._anchors:
            if anchor.size > max(self._tree.size, self.size):
                self._find(
                    Kind.CUT_OFF, f"an anchor has seen {anchor.size} events at {anchor.at}", index=self._tree.size
                )
        if not self._own and (self.events or not self._is_young()):
            self._find(Kind.UNSIGNED, "there is no signed checkpoint")
        newest = max((each.at for each in self._own if each.at), default=None)
        if newer_than is not None and (newest is None or newest < newer_than):
            self._find(
                Kind.CUT_OFF, f"the newest checkpoint is of {newest}, before {newer_than}", index=self._tree.size
            )
        return self.findings

    def _is_young(self) -> bool:
        """Tell whether a log may have no checkpoint yet: it has begun, and not long ago."""
        try:
            ends = [datetime.strptime(each, "%Y-%m-%dT%H:%M:%S.%fZ") for each in self._times]  # noqa: DTZ007  # compared
        except ValueError:
            return False
        return bool(ends) and max(ends) - min(ends) <= YOUNG

    def _find(self, kind: Kind, problem: str, **place: int) -> None:
        self.findings.append(Finding(kind, problem, index=place.get("index")))

    def _follow(self, body: bytes, leaf: bytes, row: StoredEvent | None, index: int | None) -> None:
        members = members_of(body)
        if row is not None:
            chain: object = str(row.chain)
            seq: object = row.seq
            self.findings += [
                Finding(Kind.CHANGED, text, str(row.chain), row.seq) for text in _problems(row, members, leaf)
            ]
        else:
            chain, seq = (members.get("chain"), members.get("seq")) if members else (None, None)
        if not isinstance(chain, str) or not isinstance(seq, int):
            self.findings.append(Finding(Kind.CHANGED, "it is no event", index=index))
            return
        prev = members.get("prev") if members else None
        if (found := self.chains.follow(chain, seq, prev, leaf)) is not None:
            self.findings.append(found)
        if self._last is not None and (chain, seq) < self._last:
            self._disorder.append(
                Finding(Kind.REORDERED, "it stands after an event that follows it", chain, seq, index)
            )
        self._last = chain, seq

    def _compare(self) -> None:
        """Compare the tree with what was signed of this size."""
        signed = self._by_size.get(self._tree.size, ())
        if self._bad is not None or not signed:
            return
        root = self._tree.root()
        wrong = [each for each in signed if each.root != root]
        own = [each for each in signed if each in self._own]
        if own and all(each.root != root for each in own):
            self._bad = self._tree.size
            return
        if wrong:
            text = f"two histories of {self._tree.size} events were signed"
            self._forks.append(Finding(Kind.FORKED, text, index=self._tree.size))
        if own:
            self.findings += self._forks
            self._forks, self._disorder, self._last = [], [], None
            self._good = self._tree.size

    def _ending(self) -> Iterator[Finding]:
        """Say what the number of events tells, where the chains tell nothing."""
        lacking = self.size - self._tree.size
        place = f"among leaves {self._good} to {(self._bad or self.size) - 1}"
        kinds = {each.kind for each in self.findings}
        if self._bad is None:
            if lacking > 0 and Kind.MISSING not in kinds:
                yield Finding(Kind.CUT_OFF, f"{lacking} signed events are not there", index=self._tree.size)
            elif lacking < 0 and self._own:
                yield Finding(Kind.INSERTED, f"{-lacking} events are behind the newest checkpoint", index=self.size)
        elif lacking > 0 and Kind.MISSING not in kinds:
            yield Finding(Kind.MISSING, f"{lacking} signed events are not there, {place}", index=self._good)
        elif lacking < 0 and Kind.INSERTED not in kinds:
            yield Finding(Kind.INSERTED, f"{-lacking} events were not signed, {place}", index=self._good)
        elif not kinds & {Kind.CHANGED, Kind.MISSING, Kind.REORDERED, Kind.INSERTED}:
            changed = Finding(
                Kind.CHANGED, f"the events do not give the root that was signed, {place}", index=self._good
            )
            yield next(iter(self._disorder), changed)


def _problems(row: StoredEvent, members: dict[str, object] | None, leaf: bytes) -> Iterator[str]:
    """Compare a row of the database with what its body says."""
    if leaf != row.hash:
        yield "the body does not have the hash that is stored beside it"
    if members is None or canonical(members) != row.body:
        yield "the body is not in canonical form"
        return
    if members.get("chain") != str(row.chain) or members.get("seq") != row.seq:
        yield "the body belongs to another place in the log"
    if any(members.get(name) != value for name, value in row.columns.items()):
        yield "the columns do not say what the body says"
