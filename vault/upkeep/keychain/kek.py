"""Rotating the KEK: another one, of the same provider or of another one, wraps every key of the vault.

Steps: a new KEK (pre-active), proven by a key that it wraps and unwraps; then it is the active one, and new keys are
wrapped by it; then every key that is there is wrapped again. Records stay as they are.
"""

from __future__ import annotations

import asyncio

from vault.crypto import aead
from vault.crypto.certificates import StoredAuthority
from vault.crypto.data_key import KeyState, WrappedKey
from vault.errors import KekOutOfReach, KeyUnavailable, ProviderUnknown
from vault.keys.keks import EVERY_TENANT
from vault.keys.provider import KeyProvider, Sealable
from vault.store.authorities import list_authorities
from vault.store.keychain import (
    KekRow,
    add_next_kek,
    list_keks,
    list_keys,
    rewrap_authority,
    rewrap_key,
    set_kek_state,
)
from vault.store.processes import live_processes
from vault.upkeep.keychain.work import Work

AT_ONCE = 8
_PROOF = b"panless kek proof"


async def rotate_kek(work: Work, *, to: str | None = None, tenant: str | None = None) -> None:
    """Rotate the KEK, or each tenant's own; `to` names another of the configured providers.

    Goes on with a rotation that was begun and not finished.
    """
    if await _unfinished(work):
        work.report("Going on with the rotation that was begun before.")
    else:
        await replace_keks(work, to=to, tenant=tenant)
    await rewrap(work)


async def replace_keks(work: Work, *, to: str | None = None, tenant: str | None = None) -> None:
    """Let another KEK wrap new keys, of one owner or of all; every tenant's also where none is active any more."""
    if not any(kek.tenant == EVERY_TENANT for kek in await list_keks(work.connection)):
        await work.keks.active(EVERY_TENANT)
    known = await list_keks(work.connection)
    for owner in sorted({EVERY_TENANT, *(kek.tenant for kek in known if kek.state == KeyState.ACTIVE)}):
        if tenant is None or owner == tenant:
            await _replace(work, owner, [kek for kek in known if kek.tenant == owner], _target(work, to))


async def _unfinished(work: Work) -> bool:
    """Tell whether a key is still wrapped by a KEK that is no longer active, and there is one to wrap it."""
    active = {kek.id: kek.tenant for kek in await list_keks(work.connection) if kek.state == KeyState.ACTIVE}
    return EVERY_TENANT in active.values() and any(each.kek not in active for each in await _wrapped(work))


def _target(work: Work, to: str | None) -> KeyProvider:
    if to is None:
        return work.keks.first
    named = [each for each in work.keks.all if to in (each.describe().provider, each.describe().location)]
    if not named:
        raise ProviderUnknown(provider=to)
    return named[0]


async def _replace(work: Work, owner: str, known: list[KekRow], target: KeyProvider) -> None:
    about = target.describe()
    kek = next((kek.id for kek in known if kek.state == KeyState.PRE_ACTIVE and target.holds(kek.id)), None)
    if kek is None:
        kek = await _new(target, owner, {each.id for each in known})
        async with work.change("keys.kek.create", kek, owner or None) as at:
            await add_next_kek(work.connection, kek, owner, about.provider, at)
    await _check_reach(work, kek if isinstance(target, Sealable) else about.location)
    if await target.unwrap(kek, await target.wrap(kek, bytes(aead.KEY_BYTES), _PROOF), _PROOF) != bytes(aead.KEY_BYTES):
        raise KeyUnavailable(key=kek, reason="what it wraps does not come back")
    async with work.change("keys.kek.activate", kek, owner or None) as at:
        for old in known:
            if old.state == KeyState.ACTIVE:
                await set_kek_state(work.connection, old.id, KeyState.DEACTIVATED, at)
        await set_kek_state(work.connection, kek, KeyState.ACTIVE, at)
    work.report(f"KEK {kek} of {about.provider} is active: new keys are wrapped by it.")


async def _check_reach(work: Work, needed: str) -> None:
    """Raise KekOutOfReach for a running process that could open nothing after the change."""
    for each in await live_processes(work.connection):
        if needed not in each.providers:
            raise KekOutOfReach(location=needed, pid=each.pid, host=each.host)


async def _new(target: KeyProvider, owner: str, known: set[str]) -> str:
    """Return a KEK that the vault does not know: one that is there already, or a new one."""
    if owner == EVERY_TENANT and (newest := await target.newest()) not in known:
        return newest
    return await target.make(owner or None)


async def rewrap(work: Work) -> None:
    """Wrap every key by the active KEK of its owner."""
    done = 0
    while pending := await _pending(work):
        for number in range(0, len(pending), AT_ONCE):
            work.progress(done + number, done + len(pending))
            batch = pending[number : number + AT_ONCE]
            boxes = await asyncio.gather(*(_wrapped_again(work, each, kek) for each, kek in batch))
            for (each, kek), box in zip(batch, boxes, strict=True):
                store = rewrap_key if isinstance(each, WrappedKey) else rewrap_authority
                await store(work.connection, each.id, each.kek, kek, box)
        done += len(pending)
        work.progress(done, done)
    await work.record("keys.kek.rewrap", f"{done} keys")
    work.report(f"{done} keys were wrapped again.")


async def _pending(work: Work) -> list[tuple[WrappedKey | StoredAuthority, str]]:
    """Return the keys that are wrapped by another KEK than the one that should, with that one."""
    found = [(each, await work.keks.active(_owner(each))) for each in await _wrapped(work)]
    return [(each, kek) for each, kek in found if each.kek != kek]


async def _wrapped(work: Work) -> list[WrappedKey | StoredAuthority]:
    found: list[WrappedKey | StoredAuthority] = [row.key for row in await list_keys(work.connection)]
    found.extend(await list_authorities(work.connection))
    return [each for each in found if each.wrapped is not None]


def _owner(each: WrappedKey | StoredAuthority) -> str:
    return each.tenant if isinstance(each, WrappedKey) else EVERY_TENANT


async def _wrapped_again(work: Work, each: WrappedKey | StoredAuthority, kek: str) -> bytes:
    secret = await work.keks.unwrap(each.kek, each.wrapped or b"", each.context)
    return await work.keks.provider(kek).wrap(kek, secret, each.context)
