"""Rotating a tenant's fingerprint key without losing a single match.

1. The new key is pre-active: every process writes fingerprints by both keys from then on, and finds by the old one.
2. What was there is marked by the new key, too.
3. The new key is active: every process writes and finds by it alone.
4. What is left by the old key is marked by the new one if need be, and dropped. The old key is destroyed.

Between two steps all running processes have taken notice. So at any moment each of them writes a fingerprint that each
other one looks for, and the same card never gets two tokens.
"""

from __future__ import annotations

import hmac
from uuid import UUID

from vault.crypto.data_key import DataKey, KeyState, Purpose, WrappedKey
from vault.crypto.envelope import Binding, unseal
from vault.crypto.fingerprint import fingerprint
from vault.kinds import KINDS, PAN
from vault.sensitive import Sensitive
from vault.store.database import translated
from vault.store.keychain import keys_in_state, set_state
from vault.store.keys import KeyRows
from vault.store.resealing import (
    StoredMark,
    add_marks,
    count_marks,
    drop_marks,
    marks_under,
)
from vault.tokens import Token
from vault.upkeep.keychain.work import Work

OLD = (KeyState.DEACTIVATED, KeyState.COMPROMISED)

NewMark = tuple[bytes, UUID, str | None, UUID]


async def rotate_fingerprint_keys(work: Work, *, tenant: str | None = None, anew: bool = False) -> None:
    """Rotate the fingerprint key of one tenant or of all; goes on with a rotation that was begun and not finished.

    `anew`: no key that is there now is used afterwards, not even one that such a rotation has made.
    """
    for key in await keys_in_state(work.connection, Purpose.FINGERPRINT, [KeyState.ACTIVE], tenant):
        if anew:
            await _discard_successor(work, key.tenant)
        if left := await _left(work, key.tenant):
            work.report(f"Tenant {key.tenant}: going on with the rotation that was begun before.")
            await _drop_old(work, key.tenant)
        if anew or not left:
            await _replace(work, key)
            await _drop_old(work, key.tenant)


async def _discard_successor(work: Work, tenant: str) -> None:
    if (successor := await KeyRows(work.connection).successor(tenant, Purpose.FINGERPRINT)) is not None:
        async with work.change("keys.fingerprint.deactivate", str(successor.id), tenant) as at:
            await set_state(work.connection, successor.id, KeyState.DEACTIVATED, at)


async def _left(work: Work, tenant: str) -> list[WrappedKey]:
    """Return the old keys that are not destroyed yet."""
    return await keys_in_state(work.connection, Purpose.FINGERPRINT, OLD, tenant)


async def _replace(work: Work, old: WrappedKey) -> None:
    rows = KeyRows(work.connection)
    if (successor := await rows.successor(old.tenant, Purpose.FINGERPRINT)) is None:
        successor = await work.keyring.made(old.tenant, Purpose.FINGERPRINT, KeyState.PRE_ACTIVE)
        async with work.change("keys.fingerprint.create", str(successor.id), old.tenant):
            await rows.add(successor)
    await work.settle()
    work.report(f"Tenant {old.tenant}: processes mark by both keys.")
    await _mark_all(work, old.id, await work.keyring.opening_key(successor.id), drop=False)
    async with work.change("keys.fingerprint.activate", str(successor.id), old.tenant) as at:
        await set_state(work.connection, old.id, KeyState.DEACTIVATED, at)
        await set_state(work.connection, successor.id, KeyState.ACTIVE, at)
    await work.settle()
    work.report(f"Tenant {old.tenant}: processes mark and find by the new key.")


async def _drop_old(work: Work, tenant: str) -> None:
    await work.settle()
    active = (await work.keyring.fingerprint_keys(tenant)).active
    for old in await _left(work, tenant):
        await _mark_all(work, old.id, active, drop=True)
        async with work.change("keys.fingerprint.destroy", str(old.id), tenant) as at:
            await set_state(work.connection, old.id, KeyState.DESTROYED, at)
        work.report(f"Tenant {tenant}: nothing is marked by key {old.id} any more; it is destroyed.")


async def _mark_all(work: Work, old: UUID, new: DataKey, *, drop: bool) -> None:
    """Mark by the new key everything that is marked by the old one; drop the old marks, or keep them."""
    total, done, after = await count_marks(work.connection, old), 0, b""
    old_key = await work.keyring.opening_key(old)
    while marks := await marks_under(work.connection, old, after):
        found = [await _marked(work, mark, old_key, new) for mark in marks]
        rows = [row for row in found if row is not None]
        with translated():
            async with work.connection.transaction():
                await add_marks(work.connection, rows)
                if drop:
                    await drop_marks(work.connection, [mark.fingerprint for mark in marks], old)
        done, after = done + len(marks), marks[-1].fingerprint
        work.progress(done, max(done, total))


async def _marked(work: Work, mark: StoredMark, old: DataKey, new: DataKey) -> NewMark | None:
    """Return the mark by the new key, or None if the old key has not made the old one, or its record is gone.

    Whoever may write to the table would else have any number marked, and so find out whether its card is there.
    """
    record = mark.record
    if mark.digits is not None:
        kind, value = PAN.name, Sensitive(mark.digits)
    elif record is None:
        return None
    else:
        binding = Binding(record.tenant, Token(KINDS[record.kind].token_prefix, record.token), record.kind)
        kind = record.kind
        value = unseal(await work.keyring.opening_key(record.data_key), record.sealed, binding)
    if not hmac.compare_digest(fingerprint(old, kind, value), mark.fingerprint):
        return None
    return fingerprint(new, kind, value), mark.token, mark.digits, new.id
