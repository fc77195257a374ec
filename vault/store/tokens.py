"""What an operator sees of tokens, and their erasure. Nothing here opens a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from vault.store.database import Connection, translated

_SHOW = """
SELECT token, tenant, kind, brand, last4, created_at, expires_at, max_uses, uses, routes, gateways, data_key,
       ARRAY(SELECT customer FROM token_customers WHERE token_customers.token = tokens.token ORDER BY customer),
       (SELECT min(card_token) FROM fingerprints WHERE fingerprints.token = tokens.token AND card_token IS NOT NULL)
FROM tokens WHERE token = $1
"""
_ENDED = "SELECT token, tenant, reason, at FROM ended_tokens WHERE token = $1"
_MARKED = "SELECT token FROM fingerprints WHERE fingerprint = ANY($1::bytea[]) AND card_token = $2"
# A token that another customer has, too, stays.
_OF_CUSTOMER = """
SELECT token, EXISTS (
  SELECT FROM token_customers other
  WHERE other.token = mine.token AND other.tenant = mine.tenant AND other.customer <> ALL($3::text[])
) FROM token_customers mine WHERE tenant = $1 AND customer = $2 ORDER BY token
"""
_FORGET_CUSTOMERS = """
DELETE FROM token_customers WHERE tenant = $1 AND customer = ANY($2::text[]) AND token = ANY($3::uuid[])
"""
# Of a card-shaped token the fingerprint stays: no other card may ever get its digits.
_ERASE = """
WITH gone AS (
  DELETE FROM tokens WHERE token = ANY($1::uuid[]) RETURNING token, tenant
), marks AS (
  DELETE FROM fingerprints USING gone WHERE fingerprints.token = gone.token AND card_token IS NULL
), customers AS (
  DELETE FROM token_customers USING gone WHERE token_customers.token = gone.token
), leases AS (
  DELETE FROM cvc_leases USING gone WHERE cvc_leases.card = gone.token
)
INSERT INTO ended_tokens SELECT token, tenant, 'erased', $2 FROM gone RETURNING token, tenant
"""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What is known of a token. `shown`: its card-shaped form, if it has one."""

    token: UUID
    tenant: str
    kind: str
    brand: str | None
    last4: str | None
    created_at: datetime
    expires_at: datetime | None
    max_uses: int | None
    uses: int
    routes: Sequence[str] | None
    gateways: Sequence[str] | None
    data_key: UUID
    customers: Sequence[str]
    shown: str | None


@dataclass(frozen=True, slots=True)
class EndedToken:
    """A token whose record is gone: `erased`, or `expired`."""

    token: UUID
    tenant: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CustomerToken:
    """A token of a customer's. `shared`: another one has it, too, who is not to be erased as well."""

    token: UUID
    shared: bool


async def find_token(connection: Connection, token: UUID) -> TokenRow | EndedToken | None:
    with translated():
        if (row := await connection.fetchrow(_SHOW, token)) is not None:
            return TokenRow(*row)
        row = await connection.fetchrow(_ENDED, token)
    return EndedToken(*row) if row else None


async def find_marked(connection: Connection, marks: Sequence[bytes], digits: str) -> UUID | None:
    """Return the token with a card-shaped form, which has one of these fingerprints."""
    with translated():
        found: UUID | None = await connection.fetchval(_MARKED, marks, digits)
        return found


async def tokens_of(connection: Connection, tenant: str, customer: str, erased: Sequence[str]) -> list[CustomerToken]:
    """Return the tokens of one of the customers who are to be erased."""
    with translated():
        return [CustomerToken(*row) for row in await connection.fetch(_OF_CUSTOMER, tenant, customer, erased)]


async def forget_customers(
    connection: Connection, tenant: str, customers: Sequence[str], tokens: Sequence[UUID]
) -> None:
    """Forget that tokens are these customers'."""
    with translated():
        await connection.execute(_FORGET_CUSTOMERS, tenant, customers, tokens)


async def erase_tokens(connection: Connection, tokens: Sequence[UUID], at: datetime) -> list[tuple[UUID, str]]:
    """Delete records, their fingerprints and leases; return tokens and tenants of those that were there."""
    with translated():
        return [(row[0], row[1]) for row in await connection.fetch(_ERASE, tokens, at)]
