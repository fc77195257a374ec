"""Records and fingerprints on their way from one key to another, in batches, in the order of their primary keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from vault.store.database import Connection, translated

BATCH = 500
SCAN_SECONDS = 600.0  # a batch may have to pass over many rows that are not concerned

_RECORDS = """
SELECT token, tenant, kind, data_key, sealed FROM tokens
WHERE data_key = ANY($1::uuid[]) AND token > $2 ORDER BY token LIMIT $3
"""
_RESEAL = """
UPDATE tokens SET data_key = new.data_key, sealed = new.sealed
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[]) AS new (token, old, data_key, sealed)
WHERE tokens.token = new.token AND tokens.data_key = new.old
"""
_DOCUMENTS = """
SELECT id, tenant, kind, data_key, sealed FROM documents
WHERE data_key = ANY($1::uuid[]) AND id > $2 ORDER BY id LIMIT $3
"""
_RESEAL_DOCUMENTS = """
UPDATE documents SET data_key = new.data_key, sealed = new.sealed
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[]) AS new (id, old, data_key, sealed)
WHERE documents.id = new.id AND documents.data_key = new.old
"""
_COUNT = """
SELECT (SELECT count(*) FROM tokens WHERE data_key = ANY($1::uuid[]))
     + (SELECT count(*) FROM documents WHERE data_key = ANY($1::uuid[]))
"""
_MARKS = """
SELECT fingerprint, fingerprints.token, card_token, tenant, kind, tokens.data_key, sealed
FROM fingerprints LEFT JOIN tokens ON tokens.token = fingerprints.token
WHERE fingerprints.data_key = $1 AND fingerprint > $2 ORDER BY fingerprint LIMIT $3
"""
_MARK = """
INSERT INTO fingerprints (fingerprint, token, card_token, data_key)
SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::text[], $4::uuid[]) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A row of `tokens`, or one of `documents`, whose id is its `token`."""

    token: UUID
    tenant: str
    kind: str
    data_key: UUID
    sealed: bytes


@dataclass(frozen=True, slots=True)
class StoredMark:
    """A row of `fingerprints`: of the record's value or, with `digits`, of its token's card-shaped form.

    `record` is None if it is gone; the digits of a token that was erased are not given away again.
    """

    fingerprint: bytes
    token: UUID
    digits: str | None
    record: StoredRecord | None


async def count_records(connection: Connection, keys: Sequence[UUID]) -> int:
    """Return how many records and documents are sealed under some keys."""
    with translated():
        return int(await connection.fetchval(_COUNT, keys, timeout=SCAN_SECONDS))


async def count_marks(connection: Connection, key: UUID) -> int:
    with translated():
        sql = "SELECT count(*) FROM fingerprints WHERE data_key = $1"
        return int(await connection.fetchval(sql, key, timeout=SCAN_SECONDS))


async def records_under(connection: Connection, keys: Sequence[UUID], after: UUID) -> list[StoredRecord]:
    """Return the next records that are sealed under some keys."""
    with translated():
        rows = await connection.fetch(_RECORDS, keys, after, BATCH, timeout=SCAN_SECONDS)
    return [StoredRecord(*row) for row in rows]


async def reseal_records(connection: Connection, rows: Sequence[tuple[UUID, UUID, UUID, bytes]]) -> None:
    """Store records (token, old key, new key, sealed) as they are sealed under other keys."""
    with translated():
        await connection.execute(_RESEAL, *(list(column) for column in zip(*rows, strict=True)))


async def documents_under(connection: Connection, keys: Sequence[UUID], after: UUID) -> list[StoredRecord]:
    """Return the next documents that are sealed under some keys."""
    with translated():
        rows = await connection.fetch(_DOCUMENTS, keys, after, BATCH, timeout=SCAN_SECONDS)
    return [StoredRecord(*row) for row in rows]


async def reseal_documents(connection: Connection, rows: Sequence[tuple[UUID, UUID, UUID, bytes]]) -> None:
    """Store documents (id, old key, new key, sealed) as they are sealed under other keys."""
    with translated():
        await connection.execute(_RESEAL_DOCUMENTS, *(list(column) for column in zip(*rows, strict=True)))


async def marks_under(connection: Connection, key: UUID, after: bytes) -> list[StoredMark]:
    """Return the next fingerprints that were made with a key, with their records."""
    with translated():
        rows = await connection.fetch(_MARKS, key, after, BATCH, timeout=SCAN_SECONDS)
    return [
        StoredMark(row[0], row[1], row[2], None if row[3] is None else StoredRecord(row[1], *row[3:])) for row in rows
    ]


async def add_marks(connection: Connection, rows: Sequence[tuple[bytes, UUID, str | None, UUID]]) -> None:
    """Add fingerprints (fingerprint, token, digits, key) unless they are there."""
    with translated():
        await connection.execute(_MARK, *(list(column) for column in zip(*rows, strict=True)))


async def drop_marks(connection: Connection, marks: Sequence[bytes], key: UUID) -> None:
    """Delete fingerprints that were made with a key."""
    with translated():
        await connection.execute(
            "DELETE FROM fingerprints WHERE fingerprint = ANY($1::bytea[]) AND data_key = $2", list(marks), key
        )
