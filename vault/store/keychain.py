"""What an operator does to keys: their states, and what is still sealed, marked or wrapped by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from vault.crypto.data_key import KeyState, WrappedKey
from vault.store.database import Connection, translated

_LOCK = 0x50616E4B657973  # "PanKeys"
_KEY_COLUMNS = "id, tenant, purpose, kek, wrapped, created_at, state, public_key"
_LIST = f"""
SELECT {_KEY_COLUMNS}, uses, deactivated_at, compromised_at, destroyed_at FROM data_keys ORDER BY created_at, id
"""  # noqa: S608  # constant columns
_LIST_KEKS = """
SELECT id, tenant, provider, state, created_at, deactivated_at, compromised_at, destroyed_at
FROM keks ORDER BY created_at, id
"""
_COUNTS = {
    "records": """
        SELECT data_key, count(*)
        FROM (SELECT data_key FROM tokens UNION ALL SELECT data_key FROM documents) AS sealed GROUP BY 1
    """,
    "fingerprints": "SELECT data_key, count(*) FROM fingerprints GROUP BY 1",
}
_COMPROMISE = """
UPDATE data_keys SET compromised_at = $2, state = CASE state WHEN $3 THEN state ELSE $4 END WHERE id = $1
"""
_REWRAP = "UPDATE {} SET kek = $3, wrapped = $4 WHERE id = $1 AND kek = $2 AND wrapped IS NOT NULL"
_TIMES = {
    KeyState.ACTIVE: "activated_at",
    KeyState.DEACTIVATED: "deactivated_at",
    KeyState.COMPROMISED: "compromised_at",
    KeyState.DESTROYED: "destroyed_at",
}


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A data key with its history. `uses`: how many seals are reserved under it."""

    key: WrappedKey
    uses: int
    deactivated_at: datetime | None
    compromised_at: datetime | None
    destroyed_at: datetime | None


@dataclass(frozen=True, slots=True)
class KekRow:
    """A KEK with its history. `tenant` is empty where it is every tenant's."""

    id: str
    tenant: str
    provider: str
    state: str
    created_at: datetime
    deactivated_at: datetime | None
    compromised_at: datetime | None
    destroyed_at: datetime | None


async def list_keys(connection: Connection) -> list[KeyRow]:
    """Return all data keys, oldest first."""
    with translated():
        return [KeyRow(WrappedKey(*row[:8]), *row[8:]) for row in await connection.fetch(_LIST)]


async def list_keks(connection: Connection) -> list[KekRow]:
    """Return all KEKs, oldest first."""
    with translated():
        return [KekRow(*row) for row in await connection.fetch(_LIST_KEKS)]


async def protected(connection: Connection) -> dict[str, dict[UUID, int]]:
    """Return how many records and fingerprints there are by data key."""
    with translated():
        found = {what: await connection.fetch(sql, timeout=600) for what, sql in _COUNTS.items()}
    return {what: {row[0]: row[1] for row in rows} for what, rows in found.items()}


async def try_lock(connection: Connection) -> bool:
    """Try to become the one that changes keys, for as long as the connection lasts."""
    with translated():
        return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK))


async def announce(connection: Connection) -> int:
    """Count a change of keys, in the caller's transaction.

    Statements that begin afterwards write nothing that was made with older keys; processes see it within a second.
    """
    with translated():
        return int(await connection.fetchval("UPDATE key_changes SET number = number + 1 RETURNING number"))


async def set_state(connection: Connection, key: UUID, state: KeyState, at: datetime) -> None:
    """Put a data key into a state. Of a destroyed one, the wrapped key is deleted."""
    wrapped = ", wrapped = NULL" if state is KeyState.DESTROYED else ""
    sql = f"UPDATE data_keys SET state = $2, {_TIMES[state]} = $3{wrapped} WHERE id = $1"  # noqa: S608  # constants
    with translated():
        await connection.execute(sql, key, state.value, at)


async def set_compromised(connection: Connection, key: UUID, at: datetime) -> None:
    """Note that a data key is compromised. One that was destroyed stays so."""
    with translated():
        await connection.execute(_COMPROMISE, key, at, KeyState.DESTROYED.value, KeyState.COMPROMISED.value)


async def set_kek_state(connection: Connection, kek: str, state: KeyState, at: datetime) -> None:
    """Put a KEK into a state."""
    sql = f"UPDATE keks SET state = $2, {_TIMES[state]} = $3 WHERE id = $1"  # noqa: S608  # constants
    with translated():
        await connection.execute(sql, kek, state.value, at)


async def add_next_kek(connection: Connection, kek: str, tenant: str, provider: str, at: datetime) -> None:
    """Add a KEK that is pre-active."""
    sql = "INSERT INTO keks (id, tenant, provider, state, created_at) VALUES ($1, $2, $3, 'pre-active', $4)"
    with translated():
        await connection.execute(sql, kek, tenant, provider, at)


async def rewrap_key(connection: Connection, key: UUID, old: str, kek: str, wrapped: bytes) -> None:
    """Store a data key as it is wrapped by another KEK."""
    with translated():
        await connection.execute(_REWRAP.format("data_keys"), key, old, kek, wrapped)


async def rewrap_authority(connection: Connection, authority: UUID, old: str, kek: str, wrapped: bytes) -> None:
    """Store an authority's private key as it is wrapped by another KEK."""
    with translated():
        await connection.execute(_REWRAP.format("authorities"), authority, old, kek, wrapped)


async def keys_in_state(
    connection: Connection, purpose: str, states: Sequence[KeyState], tenant: str | None
) -> list[WrappedKey]:
    """Return the data keys of a purpose in some states, of one tenant or of all."""
    sql = f"""
    SELECT {_KEY_COLUMNS} FROM data_keys
    WHERE purpose = $1 AND state = ANY($2::text[]) AND ($3::text IS NULL OR tenant = $3) ORDER BY created_at, id
    """  # noqa: S608  # constant columns
    with translated():
        rows = await connection.fetch(sql, purpose, [state.value for state in states], tenant)
    return [WrappedKey(*row) for row in rows]


async def drop_leases(connection: Connection, tenant: str) -> None:
    """End the leases of a tenant's verification codes."""
    with translated():
        await connection.execute("DELETE FROM cvc_leases WHERE tenant = $1", tenant)
