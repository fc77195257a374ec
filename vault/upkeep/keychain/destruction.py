"""Destroying keys: one that protects nothing any more, or all of a tenant's, and with them all that they protect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from vault.audit.event import canonical, timestamp
from vault.crypto.data_key import KeyState
from vault.errors import KeyNotFound, KeyNotReady, TenantUnknown
from vault.keys.keks import EVERY_TENANT
from vault.store.authorities import list_authorities
from vault.store.keychain import (
    KekRow,
    KeyRow,
    drop_leases,
    list_keks,
    list_keys,
    protected,
    set_kek_state,
    set_state,
)
from vault.upkeep.keychain.signing import signed
from vault.upkeep.keychain.work import Work

# Requests that had begun with a key when it was replaced have ended by then.
WAIT = timedelta(minutes=1)


async def destroy(work: Work, key_id: str, *, gone: bool = False) -> None:
    """Destroy a data key or a KEK that protects nothing; raises KeyNotFound, KeyNotReady or KekNotDestroyed.

    `gone`: the KEK was destroyed already, where its provider is.
    """
    for kek in await list_keks(work.connection):
        if kek.id == key_id:
            await _destroy_kek(work, kek, gone)
            return
    for row in await list_keys(work.connection):
        if str(row.key.id) == key_id:
            await _destroy_key(work, row)
            return
    raise KeyNotFound(key=key_id)


async def _destroy_key(work: Work, row: KeyRow) -> None:
    key, now = row.key, datetime.now(UTC)
    _check_state(str(key.id), key.state)
    await work.announce()  # what was sealed under it is there now, and nothing more comes
    if count := sum(counts.get(key.id, 0) for counts in (await protected(work.connection)).values()):
        raise KeyNotReady(
            key=str(key.id), reason=f"it protects {count} records", how="Run `panless keys reseal` first."
        )
    ended = max(at for at in (row.deactivated_at, row.compromised_at) if at is not None)
    if now - ended < WAIT:
        raise KeyNotReady(
            key=str(key.id), reason="it was active a moment ago", how="Give the command again in a minute."
        )
    async with work.change("keys.destroy", str(key.id), key.tenant or None) as at:
        await set_state(work.connection, key.id, KeyState.DESTROYED, at)
    work.report(f"Key {key.id} is destroyed.")


async def _destroy_kek(work: Work, kek: KekRow, gone: bool) -> None:
    _check_state(kek.id, kek.state)
    wrapped = [row.key.kek for row in await list_keys(work.connection) if row.key.wrapped is not None]
    wrapped += [each.kek for each in await list_authorities(work.connection) if each.wrapped is not None]
    if count := wrapped.count(kek.id):
        raise KeyNotReady(
            key=kek.id, reason=f"{count} keys are wrapped by it", how="Run `panless keys rotate kek` first."
        )
    if not gone:
        await work.keks.provider(kek.id).destroy(kek.id)
    async with work.change("keys.kek.destroy", kek.id, kek.tenant or None) as at:
        await set_kek_state(work.connection, kek.id, KeyState.DESTROYED, at)
    work.report(f"KEK {kek.id} is destroyed: backups whose keys are wrapped by it open no longer.")


def _check_state(key: str, state: str) -> None:
    if state == KeyState.DESTROYED:
        raise KeyNotReady(key=key, reason="that was done before", how="There is nothing to do")
    if state in (KeyState.ACTIVE, KeyState.PRE_ACTIVE):
        raise KeyNotReady(key=key, reason=f"it is {state}", how="Rotate it first: `panless keys rotate`")


async def destroy_tenant(work: Work, tenant: str) -> str:
    """Destroy every key of a tenant; return the receipt, a signed note. Can be given again to go on.

    Nothing of the tenant's can be opened afterwards. In backups the same holds where the tenant had a KEK of its own;
    where not, the receipt names the KEKs that still open older backups.
    """
    keys = [row for row in await list_keys(work.connection) if row.key.tenant == tenant]
    keks = [kek for kek in await list_keks(work.connection) if kek.tenant == tenant]
    if not keys or not tenant:
        raise TenantUnknown(tenant=tenant)
    counts = await protected(work.connection)
    async with work.change("keys.tenant.destroy", f"{len(keys)} keys", tenant) as at:
        for row in keys:
            await set_state(work.connection, row.key.id, KeyState.DESTROYED, at)
        for kek in keks:  # what is stored from now on is under another one, and stays
            if kek.state in (KeyState.ACTIVE, KeyState.PRE_ACTIVE):
                await set_kek_state(work.connection, kek.id, KeyState.DEACTIVATED, at)
        await drop_leases(work.connection, tenant)
    await work.settle()
    for kek in keks:
        if kek.state != KeyState.DESTROYED:
            await work.keks.provider(kek.id).destroy(kek.id)
            async with work.change("keys.kek.destroy", kek.id, tenant) as at:
                await set_kek_state(work.connection, kek.id, KeyState.DESTROYED, at)
    older = [kek.id for kek in await list_keks(work.connection) if _may_open(kek, keys, keks)]
    return await signed(work, _receipt(tenant, keys, keks, older, counts["records"]))


def _may_open(kek: KekRow, keys: list[KeyRow], own: list[KekRow]) -> bool:
    """Tell whether a KEK of every tenant's that is still there may have wrapped one of the tenant's keys at some time.

    Keys that were made before the tenant's own KEK were wrapped by all that were active since.
    """
    if kek.state == KeyState.DESTROYED or kek.tenant != EVERY_TENANT:
        return False
    first = min((each.created_at for each in own), default=datetime.max.replace(tzinfo=UTC))
    made = [row.key.created_at for row in keys if row.key.created_at < first]
    ended = min(at or first for at in (kek.deactivated_at, kek.compromised_at))
    return any(at <= ended for at in made) or kek.id in {row.key.kek for row in keys}


def _receipt(tenant: str, keys: list[KeyRow], keks: list[KekRow], older: list[str], records: dict[UUID, int]) -> str:
    document = {
        "type": "panless erasure receipt",
        "v": 1,
        "at": timestamp(datetime.now(UTC)),
        "tenant": tenant,
        "keys_destroyed": sorted(str(row.key.id) for row in keys),
        "keks_destroyed": sorted(kek.id for kek in keks),
        "records_unreadable": sum(records.get(row.key.id, 0) for row in keys),
        "older_backups_open_with": sorted(older),
    }
    return canonical(document).decode() + "\n"
