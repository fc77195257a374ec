"""The rows that a batch of writes comes to, with each card that occurs twice stored once. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from vault.audit.event import Event
from vault.frozen import frozen
from vault.requests import UNLIMITED, TokenLimits
from vault.store import packed
from vault.store.records import PREFIX, Mark, NewLease, NewRecord
from vault.tokens import Token
from vault.velocity import Count

_NO_LIMITS = "\t".join([packed.NULL] * 4)


@frozen
class Write:
    """What one request writes. `event` gets the final tokens of the records, in their order.

    `changes`: the number of the last key change that its records were sealed and marked after; `customer`: to whom its
    tokens belong; `spent`: tokens of limited use that are revealed; `counts`: what it counts as towards limits;
    `session`: what it is written with only once, and until when that has to be known.
    """

    event: Callable[[Sequence[Token]], Event]
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
        known: Mapping[bytes, Token],
        card_tokens: Mapping[UUID, Sequence[str]],
        cvc_attempts: int,
    ) -> None:
        self._now = datetime.now(UTC)
        self._cvc_attempts = cvc_attempts
        self._writes = writes
        self._known = known
        self._card_tokens = card_tokens
        self._made_with: dict[bytes, UUID] = {}
        self._relied_on: set[Token] = set()
        self._new: list[NewRecord] = []
        self.new: dict[bytes, Token] = {}
        self.tokens = [[self._resolve(record) for record in write.records] for write in writes]
        self.counts = self._counts()
        self._relied_on |= {
            Token(PREFIX, lease.card) for write in writes for lease in write.leases if lease.card is not None
        }
        self.events = [write.event(tokens) for write, tokens in zip(writes, self.tokens, strict=True)]

    def _resolve(self, record: NewRecord) -> Token:
        token = self._token(record)
        return token.with_digits(self._card_token(record, token)) if record.candidates else token

    def _token(self, record: NewRecord) -> Token:
        found = self._found(record.marks)
        if found is None:
            self._new.append(record)
            found = record.content.token
        elif not any(mark.fingerprint in self.new for mark in record.marks):
            self._relied_on.add(found)
        if found.digits is not None:
            raise Conflict("card_token_given")
        self._note(record.marks, found)
        return found

    def _card_token(self, record: NewRecord, token: Token) -> str:
        given = [digits for digits in self._card_tokens.get(token.id, ()) if record.fits(digits)]
        if given:
            return min(given)
        for candidate in record.candidates:
            found = self._found(candidate.marks)
            if found is None or (found == token and found.digits == candidate.digits):
                self._note(candidate.marks, token.with_digits(candidate.digits))
                return candidate.digits
        raise Conflict("card_tokens_exhausted")

    def _found(self, marks: Sequence[Mark]) -> Token | None:
        for mark in marks:
            if (found := self._find(mark.fingerprint)) is not None:
                return found
        return None

    def _note(self, marks: Sequence[Mark], known: Token) -> None:
        """Write those of the fingerprints that are not there yet."""
        for mark in marks:
            if self._find(mark.fingerprint) is None:
                self.new[mark.fingerprint] = known
                self._made_with[mark.fingerprint] = mark.data_key

    def _find(self, fingerprint: bytes) -> Token | None:
        return self.new.get(fingerprint) or self._known.get(fingerprint)

    def parts(self) -> dict[str, Sequence[object]]:
        """Return the parameters of each part of the statement; parts without rows are left out."""
        writes = self._writes
        found: dict[str, Sequence[object]] = {}
        if self._new:
            found["records"] = [self._now, packed.packed([self._record_cells(each) for each in self._new])]
        if self.new:
            # Sorted, so that two processes that insert the same cards wait for one another in the same order.
            found["fingerprints"] = [
                packed.packed([self._mark_cells(*each) for each in sorted(self.new.items(), key=_first)])
            ]
        if changes := {write.changes for write in writes if write.changes is not None}:
            found["changes"] = [list(changes)]
        if self._relied_on:
            found["known"] = [packed.packed([token.hex for token in self._relied_on])]
        if leases := self._lease_cells():
            found["leases"] = [self._now, packed.packed(leases)]
        if uses := Counter([lease for write in writes for lease in write.used_leases]):
            # Sorted like the fingerprints, and for the same reason.
            found["used"] = [*_columns(sorted(uses.items())), self._cvc_attempts, self._now]
        return found | self._rare_parts()

    def _rare_parts(self) -> dict[str, Sequence[object]]:
        writes = self._writes
        spent = Counter([token for write in writes for token in write.spent])
        rows: dict[str, Iterable[tuple[object, ...]]] = {
            "spent": sorted(spent.items()),
            "customers": self._customer_rows(),
            "counted": self._count_rows() if self.counts else (),
            "sessions": sorted([write.session for write in writes if write.session is not None]),
        }
        return {name: _columns(each) for name, each in rows.items() if each}

    def _mark_cells(self, fingerprint: bytes, known: Token) -> str:
        return f"{fingerprint.hex()}\t{known.hex}\t{known.digits or packed.NULL}\t{self._made_with[fingerprint].hex}"

    def _record_cells(self, record: NewRecord) -> str:
        token, data_key, sealed, brand, last4 = record.content
        cells = f"{token.hex}\t{packed.name(record.tenant)}\t{record.kind}\t{data_key.hex}\t{sealed.hex()}"
        return f"{cells}\t{brand or packed.NULL}\t{packed.cell(last4)}\t{self._limit_cells(record.limits)}"

    def _limit_cells(self, limits: TokenLimits) -> str:
        if limits is UNLIMITED:
            return _NO_LIMITS
        ends = packed.NULL if limits.lifetime is None else (self._now + limits.lifetime).isoformat()
        names = [None if each is None else " ".join(each) for each in (limits.routes, limits.gateways)]
        return "\t".join(
            [ends, packed.NULL if limits.max_uses is None else str(limits.max_uses), *map(packed.cell, names)]
        )

    def _customer_rows(self) -> list[tuple[object, ...]]:
        named = {
            (record.tenant, write.customer, token.id)
            for write, tokens in zip(self._writes, self.tokens, strict=True)
            if write.customer is not None
            for record, token in zip(write.records, tokens, strict=True)
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

    def _lease_cells(self) -> list[str]:
        found = []
        for write, tokens in zip(self._writes, self.tokens, strict=True):
            for lease in write.leases:
                card = lease.card if lease.record is None else tokens[lease.record]
                cells = f"{lease.token.hex}\t{packed.NULL if card is None else card.hex}\t{packed.name(lease.tenant)}"
                found.append(f"{cells}\t{lease.data_key.hex}\t{lease.sealed.hex()}\t{lease.expires_at.isoformat()}")
        return found


def _first(pair: tuple[bytes, Token]) -> bytes:
    return pair[0]


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
