"""Declaring a key compromised: it is used no more, and what it protects is put under another one at once."""

from __future__ import annotations

from vault.crypto.data_key import KeyState, Purpose, WrappedKey
from vault.errors import KeyNotFound, KeyNotReady
from vault.store.authorities import list_authorities
from vault.store.keychain import KekRow, keys_in_state, list_keks, list_keys, set_compromised, set_kek_state
from vault.upkeep.keychain.fingerprints import rotate_fingerprint_keys
from vault.upkeep.keychain.kek import replace_keks, rewrap
from vault.upkeep.keychain.seal import reseal, reseal_under, rotate_data_keys
from vault.upkeep.keychain.signing import rotate_signing_key
from vault.upkeep.keychain.work import Work


async def compromise(work: Work, key_id: str) -> None:
    """Declare a data key or a KEK compromised; can be given again to go on. Raises KeyNotFound."""
    for kek in await list_keks(work.connection):
        if kek.id == key_id:
            await _compromise_kek(work, kek)
            return
    for row in await list_keys(work.connection):
        if str(row.key.id) == key_id:
            await _compromise_key(work, row.key)
            return
    if any(str(each.id) == key_id for each in await list_authorities(work.connection)):
        how = "Run `panless keys rotate ca`, then `panless keys rotate ca --activate`; applications have to trust it"
        raise KeyNotReady(key=key_id, reason="it is the authority's", how=how)
    raise KeyNotFound(key=key_id)


async def _compromise_key(work: Work, key: WrappedKey) -> None:
    match key.purpose:
        case Purpose.FINGERPRINT if key.state == KeyState.ACTIVE:
            # Cards are found by it until another one has taken over, which happens now.
            await work.record("keys.compromise", str(key.id), key.tenant)
            await rotate_fingerprint_keys(work, tenant=key.tenant, anew=True)
        case Purpose.SIGNING if key.state == KeyState.ACTIVE:
            await rotate_signing_key(work)
    async with work.change("keys.compromise", str(key.id), key.tenant or None) as at:
        await set_compromised(work.connection, key.id, at)
    await work.settle()
    work.report(f"Key {key.id} is not used any more.")
    if key.purpose == Purpose.SEAL:
        await reseal_under(work, [key.id])


async def _compromise_kek(work: Work, kek: KekRow) -> None:
    """Whoever has a KEK and could read the database has every key that it wrapped: all of them are replaced."""
    tenant = kek.tenant or None
    if kek.state == KeyState.ACTIVE:
        await work.record("keys.compromise", kek.id, tenant)
        await replace_keks(work, tenant=kek.tenant)
    await rewrap(work)
    async with work.change("keys.compromise", kek.id, tenant) as at:
        await set_kek_state(work.connection, kek.id, KeyState.COMPROMISED, at)
        if tenant is None:  # whoever has the processes' key is given the keys of codes; the next one makes itself
            for key in await keys_in_state(work.connection, Purpose.PROCESS, [KeyState.ACTIVE], None):
                await set_compromised(work.connection, key.id, at)
    await rotate_data_keys(work, tenant=tenant)
    await reseal(work, tenant=tenant)
    await rotate_fingerprint_keys(work, tenant=tenant, anew=True)
    if tenant is None:
        await rotate_signing_key(work)
        if await list_authorities(work.connection):
            work.report("The authority is left: panless keys rotate ca, then panless keys rotate ca --activate.")
