"""Rows of the vault as they are stored, and their look-ups. Everything here is sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vault.frozen import frozen
from vault.requests import UNLIMITED, TokenLimits
from vault.store.database import Pool, translated
from vault.store.holding import Holding
from vault.tokens import Token

PREFIX = "tok"  # of all that is stored


class Mark(NamedTuple):
    """A fingerprint, and the key that it was made with."""

    fingerprint: bytes
    data_key: UUID


@frozen
class Candidate:
    """A card-shaped form that a token could get, and its fingerprints: one by each fingerprint key in use."""

    marks: Sequence[Mark]
    digits: str


class Content(NamedTuple):
    """What is stored of a new value, by the token that it got."""

    token: Token
    data_key: UUID
    sealed: bytes
    brand: str | None
    last4: str | None


@dataclass(slots=True)
class NewRecord:
    """A value to be stored, unless one of its fingerprints is known already. None: always stored.

    `make` mints its token and seals it; it is called once, and not at all for a value that is known. Its token gets a
    card-shaped form that it has already and that `fits`, or the first of the `candidates` that is free; without any it
    has no card-shaped form.
    """

    marks: Sequence[Mark]
    tenant: str
    kind: str
    make: Callable[[], Content]
    candidates: Sequence[Candidate] = ()
    fits: Callable[[str], bool] = lambda _digits: True
    limits: TokenLimits = UNLIMITED
    _content: Content | None = field(default=None, init=False)

    @property
    def content(self) -> Content:
        """What is stored of it."""
        if self._content is None:
            self._content = self.make()
        return self._content


@frozen
class NewLease:
    """A sealed CVC to be leased. `record` is the index of its card among the records of the same write; `card` is the
    token of one from before.
    """

    token: Token
    record: int | None
    tenant: str
    data_key: UUID
    sealed: bytes
    expires_at: datetime
    card: UUID | None = None


@frozen
class SealedRow:
    """A row of `tokens`, or of `cvc_leases` when `attempts` is a number."""

    token: UUID
    tenant: str
    kind: str
    data_key: UUID
    sealed: bytes
    expires_at: datetime | None
    card: UUID | None
    attempts: int | None
    max_uses: int | None = None
    uses: int = 0
    routes: Sequence[str] | None = None
    gateways: Sequence[str] | None = None


@frozen
class Wanted:
    """What a reveal asks for, by the numbers of tokens: their rows, and the leases that belong to cards."""

    tokens: frozenset[int]
    cards: frozenset[int]


_FIND_ROWS = """
SELECT token, tenant, kind, data_key, sealed, expires_at, NULL::uuid AS card, NULL::integer AS attempts,
       max_uses, uses, routes, gateways
FROM tokens WHERE token = ANY(string_to_array($1, ' ')::uuid[])
UNION ALL
SELECT token, tenant, 'cvc', data_key, sealed, expires_at, card, attempts, NULL, 0, NULL, NULL
FROM cvc_leases
WHERE token = ANY(string_to_array($1, ' ')::uuid[]) OR card = ANY(string_to_array($2, ' ')::uuid[])
"""

_FIND_FINGERPRINTS = "SELECT fingerprint, token, card_token FROM fingerprints WHERE fingerprint = ANY($1::bytea[])"
_FIND_CARD_TOKENS = """
SELECT DISTINCT token, card_token FROM fingerprints WHERE token = ANY($1::uuid[]) AND card_token IS NOT NULL
"""
_FIND_ENDED = "SELECT token, tenant, reason FROM ended_tokens WHERE token = ANY($1::uuid[])"
_GIVE_BACK = "UPDATE tokens SET uses = uses - 1 WHERE token = ANY($1::uuid[]) AND uses > 0"
_PURGE_TOKENS = "SELECT purged, tenant FROM panless_purge($1)"
_PURGE_LEASES = "DELETE FROM cvc_leases WHERE expires_at <= $1 RETURNING 1"
_END_LEASES = "DELETE FROM cvc_leases WHERE token = ANY($1::uuid[])"


class Records:
    """Look-ups over one pool, each for many requests at once."""

    def __init__(self, pool: Pool, often: Holding | None = None) -> None:
        self._pool = pool
        self._often = often or pool

    async def find(self, wanted: Sequence[Wanted]) -> list[list[SealedRow]]:
        """Return, per request, the rows that exist of those it wants."""
        tokens = frozenset[int]().union(*[each.tokens for each in wanted])
        cards = frozenset[int]().union(*[each.cards for each in wanted])
        with translated():
            rows = await self._often.fetch(_FIND_ROWS, _uuids(tokens), _uuids(cards))
        by_token: dict[int, SealedRow] = {}
        by_card: dict[int, list[int]] = {}
        for row in rows:
            found = SealedRow(*row)
            by_token[found.token.int] = found
            if found.card is not None:
                by_card.setdefault(found.card.int, []).append(found.token.int)
        return [_answer(each, by_token, by_card) for each in wanted]

    async def find_fingerprints(self, wanted: Sequence[Sequence[bytes]]) -> list[dict[bytes, Token]]:
        """Return, per request, what is known of the fingerprints: a token's value or, with `digits`, its own form."""
        with translated():
            rows = await self._often.fetch(_FIND_FINGERPRINTS, [each for many in wanted for each in many])
        known = {row[0]: Token(PREFIX, row[1], row[2]) for row in rows}
        return [{each: known[each] for each in many if each in known} for many in wanted]

    async def find_card_tokens(self, tokens: Sequence[UUID]) -> dict[UUID, list[str]]:
        """Return the card-shaped forms that tokens have; those that have none are left out."""
        with translated():
            rows = await self._pool.fetch(_FIND_CARD_TOKENS, tokens)
        found: dict[UUID, list[str]] = {}
        for token, digits in rows:
            found.setdefault(token, []).append(digits)
        return found

    async def find_ended(self, tokens: Sequence[UUID]) -> dict[UUID, tuple[str, str]]:
        """Return tenant and reason (erased, expired) of tokens whose records are gone."""
        with translated():
            rows = await self._pool.fetch(_FIND_ENDED, tokens)
        return {row[0]: (row[1], row[2]) for row in rows}

    async def give_back(self, tokens: Sequence[UUID]) -> None:
        """Take one use off each of these tokens of limited use."""
        with translated():
            await self._pool.execute(_GIVE_BACK, tokens)

    async def purge_tokens(self, most: int) -> list[tuple[UUID, str]]:
        """Delete records whose time is up, at most so many; return their tokens and tenants."""
        with translated():
            return [(row[0], row[1]) for row in await self._pool.fetch(_PURGE_TOKENS, most)]

    async def end_leases(self, ended: Sequence[Sequence[UUID]]) -> list[None]:
        """Delete leases. They are unlogged: nothing is left of them but free space in the table."""
        with translated():
            await self._pool.execute(_END_LEASES, [each for many in ended for each in many])
        return [None] * len(ended)

    async def purge_leases(self, now: datetime) -> int:
        """Delete leases whose time is up; return how many."""
        with translated():
            return len(await self._pool.fetch(_PURGE_LEASES, now))


def _uuids(numbers: Iterable[int]) -> str:
    """Return UUIDs as one text: an array is what asyncpg takes longest over."""
    return " ".join([f"{number:032x}" for number in numbers])


def _answer(wanted: Wanted, by_token: Mapping[int, SealedRow], by_card: Mapping[int, Sequence[int]]) -> list[SealedRow]:
    """Return the rows that one request wants, each once."""
    if not wanted.cards:
        return [by_token[token] for token in wanted.tokens if token in by_token]
    leases = {lease for card in wanted.cards for lease in by_card.get(card, ())}
    return [by_token[token] for token in wanted.tokens | leases if token in by_token]
