"""The rows that a batch of writes comes to, with each card that occurs twice stored once. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from vault.audit.event import Event
from vault.store.records import Known, Mark, NewLease, NewRecord
from vault.velocity import Count


@dataclass(frozen=True, slots=True)
class Write:
    """What one request writes. `event` gets the final tokens of the records, in their order.

    `changes`: the number of the last key change that its records were sealed and marked after; `customer`: to whom its
    tokens belong; `spent`: tokens of limited use that are revealed; `counts`: what it counts as towards limits;
    `session`: what it is written with only once, and until when that has to be known.
    """

    event: Callable[[Sequence[Known]], Event]
    records: Sequence[NewRecord] = ()
    leases: Sequence[NewLease] = ()
    used_leases: Sequence[UUID] = ()
    changes: int | None = None
    customer: str | None = None
    spent: Sequence[UUID] = ()
    counts: Sequence[Count] = ()
    session: tuple[UUID, datetime] | None = None


class Conflict(Exception):
    """The vault is otherwise than one of the batch assumed; `part` says in what."""

    def __init__(self, part: str) -> None:
        self.part = part


class Rows:
    """The rows of several writes. Raises Conflict if one of them cannot be written."""

    def __init__(
        self,
        writes: Sequence[Write],
        known: Mapping[bytes, Known],
        card_tokens: Mapping[UUID, Sequence[str]],
        cvc_attempts: int,
    ) -> None:
        self._now = datetime.now(UTC)
        self._cvc_attempts = cvc_attempts
        self._writes = writes
        self._known = known
        self._card_tokens = card_tokens
        self._made_with: dict[bytes, UUID] = {}
        self._relied_on: set[UUID] = set()
        self._new: list[NewRecord] = []
        self.new: dict[bytes, Known] = {}
        self.tokens = [[self._resolve(record) for record in write.records] for write in writes]
        self.counts = self._counts()
        self._relied_on |= {lease.card for write in writes for lease in write.leases if lease.card is not None}
        self.events = [write.event(tokens) for write, tokens in zip(writes, self.tokens, strict=True)]

    def _resolve(self, record: NewRecord) -> Known:
        token = self._token(record)
        return Known(token, self._card_token(record, token)) if record.candidates else Known(token)

    def _token(self, record: NewRecord) -> UUID:
        found = self._found(record.marks)
        if found is None:
            self._new.append(record)
            found = Known(record.token)
        elif not any(mark.fingerprint in self.new for mark in record.marks):
            self._relied_on.add(found.token)
        if found.digits is not None:
            raise Conflict("card_token_given")
        self._note(record.marks, found)
        return found.token

    def _card_token(self, record: NewRecord, token: UUID) -> str:
        given = [digits for digits in self._card_tokens.get(token, ()) if record.fits(digits)]
        if given:
            return min(given)
        for candidate in record.candidates:
            wanted = Known(token, candidate.digits)
            found = self._found(candidate.marks)
            if found is None or found == wanted:
                self._note(candidate.marks, wanted)
                return candidate.digits
        raise Conflict("card_tokens_exhausted")

    def _found(self, marks: Sequence[Mark]) -> Known | None:
        return next((found for mark in marks if (found := self._find(mark.fingerprint)) is not None), None)

    def _note(self, marks: Sequence[Mark], known: Known) -> None:
        """Write those of the fingerprints that are not there yet."""
        for mark in marks:
            if self._find(mark.fingerprint) is None:
                self.new[mark.fingerprint] = known
                self._made_with[mark.fingerprint] = mark.data_key

    def _find(self, fingerprint: bytes) -> Known | None:
        return self.new.get(fingerprint) or self._known.get(fingerprint)

    def parts(self) -> dict[str, list[list[object]]]:
        """Return the columns of each part of the statement; parts without rows are empty."""
        # Sorted, so that two processes that insert the same cards wait for one another in the same order.
        fingerprints = sorted((mark, *known, self._made_with[mark]) for mark, known in self.new.items())
        return {
            "records": _columns(self._record_row(each) for each in self._new),
            "fingerprints": _columns(fingerprints),
            "changes": [list(changes)]
            if (changes := {w.changes for w in self._writes if w.changes is not None})
            else [],
            "known": [list(self._relied_on)] if self._relied_on else [],
            "leases": _columns(self._lease_rows()),
            "used": _columns(self._use_rows()),
            "spent": _columns(sorted(Counter(token for write in self._writes for token in write.spent).items())),
            "customers": _columns(self._customer_rows()),
            "counted": _columns(self._count_rows()),
            "sessions": _columns(sorted(write.session for write in self._writes if write.session is not None)),
        }

    def _record_row(self, record: NewRecord) -> tuple[object, ...]:
        limits = record.limits
        ends = None if limits.lifetime is None else self._now + limits.lifetime
        routes, gateways = (None if names is None else " ".join(names) for names in (limits.routes, limits.gateways))
        about = (record.token, record.tenant, record.kind, record.data_key, record.sealed, record.brand, record.last4)
        return (*about, self._now, ends, limits.max_uses, routes, gateways)

    def _customer_rows(self) -> list[tuple[object, ...]]:
        named = {
            (record.tenant, write.customer, known.token)
            for write, tokens in zip(self._writes, self.tokens, strict=True)
            if write.customer is not None
            for record, known in zip(write.records, tokens, strict=True)
        }
        return sorted(named)

    def _counts(self) -> list[Count]:
        """Return what is counted, each once, in order."""
        found: dict[tuple[str, int], Count] = {}
        for each in (count for write in self._writes for count in write.counts):
            other = found.get((each.key, each.seconds))
            found[each.key, each.seconds] = each if other is None else replace(each, n=each.n + other.n)
        return [found[place] for place in sorted(found)]

    def _count_rows(self) -> list[tuple[object, ...]]:
        return [
            (each.key, each.seconds, each.began(self._now), each.n, each.most if each.enforced else None)
            for each in self.counts
        ]

    def _lease_rows(self) -> list[tuple[object, ...]]:
        return [
            (
                lease.token,
                lease.card if lease.record is None else tokens[lease.record].token,
                lease.tenant,
                lease.data_key,
                lease.sealed,
                self._now,
                lease.expires_at,
            )
            for write, tokens in zip(self._writes, self.tokens, strict=True)
            for lease in write.leases
        ]

    def _use_rows(self) -> list[tuple[object, ...]]:
        uses = Counter(lease for write in self._writes for lease in write.used_leases)
        # Sorted like the fingerprints, and for the same reason.
        return [(lease, count, self._now, self._cvc_attempts) for lease, count in sorted(uses.items())]


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
