"""Tables of many cards: rows that look like the vault's own, made in the database, and among them real ones.

The rows of the vault itself are found by random fingerprints and by tokens whose time is spread over a year. Real ones
stand all over the tables, so that known cards and tokens are not all on the newest pages.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from proxy.config import load
from proxy.fetching import fetched_settings
from tests.bench.bodies import Numbers
from tests.bench.site import Site
from vault.crypto.envelope import Binding, seal
from vault.keys.keyring import Keyring
from vault.kinds import PAN
from vault.sealing import marks
from vault.sensitive import Sensitive
from vault.service import Vault
from vault.tokens import Token, type_id
from vault.upkeep.startup import open_database

REAL = 1000
TENANT = "default"
YEAR_S = 365 * 86400
TABLES = ("tokens", "fingerprints")

_RANDOM = "uuid_send(gen_random_uuid())"
_FILL_TOKENS = f"""
INSERT INTO tokens (token, tenant, kind, data_key, sealed, brand, last4, created_at)
SELECT uuidv7(make_interval(secs => -{YEAR_S}::float8 * ($1::float8 - n) / $1)), '{TENANT}', 'pan', $2,
       '\\x01'::bytea || {_RANDOM} || {_RANDOM} || substr({_RANDOM}, 1, 12), 'visa', lpad((n % 10000)::text, 4, '0'),
       now() FROM generate_series(1, $1::bigint) AS n
"""
_FILL_FINGERPRINTS = f"""
INSERT INTO fingerprints (fingerprint, token, data_key) SELECT {_RANDOM} || {_RANDOM}, token, $1 FROM tokens
"""
_INDEXES = """
SELECT index.relname, pg_get_indexdef(index.oid), con.conname, pg_get_constraintdef(con.oid), of.relname
FROM pg_index JOIN pg_class index ON index.oid = indexrelid JOIN pg_class of ON of.oid = indrelid
LEFT JOIN pg_constraint con ON con.conindid = index.oid AND con.contype IN ('p', 'u')
WHERE of.relname = ANY($1::text[])
"""


async def fill(site: Site, count: int) -> float:
    """Let the vault of a site have so many cards instead of those it has; return the seconds that it took."""
    begun = time.monotonic()
    connection = await site.connect()
    try:
        made = await _real(site, min(count, REAL))
        await _synthetic(connection, count - len(made), made)
        await _insert(connection, made)
        for table in TABLES:
            await connection.execute(f"VACUUM (ANALYZE, FREEZE) {table}")
    finally:
        await connection.close()
    superuser = await site.connect("postgres")
    try:
        await superuser.execute("CHECKPOINT", timeout=600)
    finally:
        await superuser.close()
    site.known = [number for number, *_ in made]
    site.tokens = [type_id("tok", row[0]) for _, row, _ in made]
    return time.monotonic() - begun


Real = tuple[str, tuple, Sequence[tuple]]


async def _real(site: Site, count: int) -> list[Real]:
    """Cards, sealed and fingerprinted with the vault's own keys: number, row of tokens, rows of fingerprints."""
    settings = await fetched_settings(load(site.config))
    database = await open_database(settings, holder="command")
    vault = await Vault.open(settings, database)
    try:
        return [await _card(vault._keyring, n / count) for n in range(count)]
    finally:
        await vault.close()
        await database.close()


_numbers = Numbers("400001")


async def _card(keyring: Keyring, age: float) -> Real:
    """`age`: when it was made, as a share of a year."""
    number, minted = _numbers.new(), datetime.now(UTC)
    value, token = Sensitive(number), Token("tok", _uuid7(time.time() - age * YEAR_S))
    key = await keyring.sealing_key(TENANT)
    sealed = seal(key, value, Binding(TENANT, token, PAN.name))
    row = (token.id, TENANT, PAN.name, key.id, sealed, "visa", number[-4:], minted)
    found = marks(await keyring.fingerprint_keys(TENANT), PAN.name, value)
    return number, row, [(mark.fingerprint, token.id, mark.data_key) for mark in found]


def _uuid7(seconds: float) -> UUID:
    high = (int(seconds * 1000) << 16) | 0x7000 | secrets.randbits(12)
    return UUID(int=(high << 64) | (0b10 << 62) | secrets.randbits(62))


async def _synthetic(connection: asyncpg.Connection, count: int, made: Sequence[Real]) -> None:
    """Fill both tables without their indexes, which are made anew: in one transaction, so that no WAL is written."""
    _, row, found = made[0]
    async with connection.transaction():
        await connection.execute("TRUNCATE tokens, fingerprints")
        again = await _without_indexes(connection)
        await connection.execute(_FILL_TOKENS, count, row[3], timeout=3600)
        await connection.execute(_FILL_FINGERPRINTS, found[0][2], timeout=3600)
        await connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
        for statement in again:
            await connection.execute(statement, timeout=3600)


async def _without_indexes(connection: asyncpg.Connection) -> list[str]:
    """Drop the indexes; return what makes them again."""
    again = []
    for index, made_by, constraint, constrained_by, table in await connection.fetch(_INDEXES, list(TABLES)):
        if constraint is None:
            await connection.execute(f"DROP INDEX {index}")
            again.append(made_by)
        else:
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
            again.append(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {constrained_by}")
    return again


async def _insert(connection: asyncpg.Connection, made: Sequence[Real]) -> None:
    columns = ("token", "tenant", "kind", "data_key", "sealed", "brand", "last4", "created_at")
    await connection.copy_records_to_table("tokens", records=[row for _, row, _ in made], columns=columns)
    found = [each for *_, many in made for each in many]
    await connection.copy_records_to_table("fingerprints", records=found, columns=("fingerprint", "token", "data_key"))
