"""Which sealed row answers which reference of a reveal, and why one cannot be used. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from vault.errors import (
    CvcGone,
    TokenExpired,
    TokenNotForRoute,
    TokenOfOtherTenant,
    TokenOfWrongKind,
    TokenUnknown,
)
from vault.frozen import frozen
from vault.kinds import Storage
from vault.policy import Permit
from vault.requests import Reference
from vault.store.records import SealedRow, Wanted
from vault.tokens import Token


@frozen
class Selection:
    """The references of one reveal and the limits that their rows have to keep.

    `again`: it is the same request once more, for which tokens of limited use were used already.
    """

    references: Sequence[Reference]
    permit: Permit
    cvc_lifetime: timedelta
    cvc_attempts: int
    again: bool = False

    def wanted(self) -> Wanted:
        """Return what has to be looked up."""
        tokens = frozenset([each.token.number for each in self.references if each.token is not None])
        cards = frozenset(
            [card.number for each in self.references if each.token is None and (card := self._card(each)) is not None]
        )
        return Wanted(tokens, cards)

    def _card(self, reference: Reference) -> Token | None:
        """Return the card whose lease is wanted, for a reference that has no token of its own."""
        if reference.token is not None or reference.of is None:
            return None
        return self.references[reference.of].token

    def choose(self, rows: Sequence[SealedRow]) -> list[SealedRow]:
        """Return one usable row per reference; raises a TokenRejected for the first that has none."""
        now = datetime.now(UTC)
        by_token = {row.token.int: row for row in rows}
        newest: dict[UUID, SealedRow] = {}
        if leases := [row for row in rows if row.attempts is not None]:
            leases.sort(key=lambda row: row.token)
            newest = {row.card: row for row in leases if row.card is not None and self._usable(row, now)}
        return [self._row(each, by_token, newest, now) for each in self.references]

    def _row(
        self,
        reference: Reference,
        by_token: dict[int, SealedRow],
        newest_lease: dict[UUID, SealedRow],
        now: datetime,
    ) -> SealedRow:
        if reference.token is None:
            card = self._card(reference)
            lease = newest_lease.get(card.id) if card is not None else None
            if lease is None or lease.tenant != self.permit.principal.tenant:
                raise CvcGone(at=reference.at)
            return lease
        row = by_token.get(reference.token.number)
        self._check_kind(reference, reference.token, row)
        if row is None:
            raise self._missing(reference, reference.token, now)
        if row.tenant != self.permit.principal.tenant:
            raise TokenOfOtherTenant(token=str(reference.token))
        if not self._usable(row, now):
            raise TokenExpired(token=str(reference.token))
        if (row.routes is not None or row.gateways is not None) and not self._is_for_here(row):
            raise TokenNotForRoute(token=str(reference.token))
        return row

    def _is_for_here(self, row: SealedRow) -> bool:
        on_route = row.routes is None or self.permit.route in row.routes
        return on_route and (row.gateways is None or self.permit.destination in row.gateways)

    def _check_kind(self, reference: Reference, token: Token, row: SealedRow | None) -> None:
        kind = reference.kind
        if token.prefix != kind.token_prefix or (row is not None and row.kind != kind.name):
            raise TokenOfWrongKind(token=str(token), kind=kind.name)

    def _usable(self, row: SealedRow, now: datetime) -> bool:
        in_time = row.expires_at is None or row.expires_at > now
        in_uses = self.again or row.max_uses is None or row.uses < row.max_uses
        return in_time and in_uses and (row.attempts is None or row.attempts < self.cvc_attempts)

    def _missing(self, reference: Reference, token: Token, now: datetime) -> TokenUnknown | TokenExpired | CvcGone:
        if reference.kind.storage is not Storage.LEASE:
            return TokenUnknown(token=str(token))
        # A lease leaves no trace, but its token says when it was made.
        if token.minted_at <= now - self.cvc_lifetime:
            return TokenExpired(token=str(token))
        return CvcGone(at=reference.at)
