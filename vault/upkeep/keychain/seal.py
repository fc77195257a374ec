"""Rotating data keys, and sealing old records again under the new ones."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from vault.crypto.data_key import KeyState, Purpose
from vault.crypto.envelope import Binding, seal, seal_bytes, unseal, unseal_bytes
from vault.documents import Document
from vault.kinds import KINDS
from vault.store.keychain import keys_in_state, set_state
from vault.store.resealing import (
    StoredRecord,
    count_records,
    documents_under,
    records_under,
    reseal_documents,
    reseal_records,
)
from vault.tokens import Token
from vault.upkeep.keychain.work import Work

OLD = (KeyState.DEACTIVATED, KeyState.COMPROMISED)
_FIRST = UUID(int=0)


async def rotate_data_keys(work: Work, *, tenant: str | None = None) -> None:
    """Let other keys seal from now on; the old ones open what they have sealed."""
    active = await keys_in_state(work.connection, Purpose.SEAL, [KeyState.ACTIVE], tenant)
    for key in active:
        async with work.change("keys.dek.deactivate", str(key.id), key.tenant) as at:
            await set_state(work.connection, key.id, KeyState.DEACTIVATED, at)
    await work.settle()
    work.report(f"{len(active)} data keys seal no longer; new ones are made when they are needed.")


async def reseal(work: Work, *, tenant: str | None = None) -> int:
    """Seal every record again that is under a key that is not active; return how many there were."""
    old = [key.id for key in await keys_in_state(work.connection, Purpose.SEAL, OLD, tenant)]
    return await reseal_under(work, old)


async def reseal_under(work: Work, keys: Sequence[UUID]) -> int:
    """Seal every record and document again that is under one of these keys."""
    done = 0
    # Again and again, because requests that had begun may still have sealed something under an old key.
    while total := await count_records(work.connection, keys):
        work.progress(done, done + total)
        for under, store, resealed in (
            (records_under, reseal_records, _resealed),
            (documents_under, reseal_documents, _resealed_document),
        ):
            after = _FIRST
            while rows := await under(work.connection, keys, after):
                await store(work.connection, [await resealed(work, each) for each in rows])
                done, after = done + len(rows), rows[-1].token
                work.progress(done, max(done, total))
    await work.record("keys.reseal", f"{done} records")
    work.report(f"{done} records were sealed again.")
    return done


async def _resealed(work: Work, record: StoredRecord) -> tuple[UUID, UUID, UUID, bytes]:
    binding = Binding(record.tenant, Token(KINDS[record.kind].token_prefix, record.token), record.kind)
    value = unseal(await work.keyring.opening_key(record.data_key), record.sealed, binding)
    key = await work.keyring.sealing_key(record.tenant)
    return record.token, record.data_key, key.id, seal(key, value, binding)


async def _resealed_document(work: Work, row: StoredRecord) -> tuple[UUID, UUID, UUID, bytes]:
    document = Document(row.token, row.tenant, row.kind, row.data_key, row.sealed)
    data = unseal_bytes(await work.keyring.opening_key(row.data_key), row.sealed, document.binding)
    key = await work.keyring.sealing_key(row.tenant)
    return row.token, row.data_key, key.id, seal_bytes(key, data, document.binding)
