"""The rows that a batch of writes comes to, with each card that occurs twice stored once. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from vault.audit.event import Event
from vault.store.records import Known, Mark, NewLease, NewRecord


@dataclass(frozen=True, slots=True)
class Write:
    """What one request writes. `event` gets the final tokens of the records, in their order.

    `keys_as_of`: the number of the last change of keys that whoever made the records had seen.
    """

    event: Callable[[Sequence[Known]], Event]
    records: Sequence[NewRecord] = ()
    leases: Sequence[NewLease] = ()
    used_leases: Sequence[UUID] = ()
    keys_as_of: int | None = None


class Conflict(Exception):
    """The vault is otherwise than one of the batch assumed; `part` says in what."""

    def __init__(self, part: str) -> None:
        self.part = part


class KeysChanged(Exception):
    """Keys were changed since the records were made: they have to be made again."""


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
        self.events = [write.event(tokens) for write, tokens in zip(writes, self.tokens, strict=True)]

    def _resolve(self, record: NewRecord) -> Known:
        token = self._token(record)
        return Known(token, self._card_token(record, token)) if record.candidates else Known(token)

    def _token(self, record: NewRecord) -> UUID:
        found = self._found(record.marks)
        if found is None:
            self._new.append(record)
            found = Known(record.token)
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
        if (found := self.new.get(fingerprint)) is None and (found := self._known.get(fingerprint)) is not None:
            self._relied_on.add(found.token)
        return found

    def parts(self) -> dict[str, list[list[object]]]:
        """Return the columns of each part of the statement; parts without rows are empty."""
        # Sorted, so that two processes that insert the same cards wait for one another in the same order.
        seen = {each.keys_as_of for each in self._writes if each.keys_as_of is not None}
        fingerprints = sorted((mark, *known, self._made_with[mark]) for mark, known in self.new.items())
        return {
            "records": _columns(
                (r.token, r.tenant, r.kind, r.data_key, r.sealed, r.brand, r.last4, self._now) for r in self._new
            ),
            "fingerprints": _columns(fingerprints),
            "keys": [list(seen)] if seen else [],
            "known": [list(self._relied_on)] if self._relied_on else [],
            "leases": _columns(self._lease_rows()),
            "used": _columns(self._use_rows()),
        }

    def _lease_rows(self) -> list[tuple[object, ...]]:
        return [
            (
                lease.token,
                None if lease.record is None else tokens[lease.record].token,
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
