"""The keyring: finds, makes, unwraps and caches data keys. Knows when a DEK has to be replaced.

Rules:
1. A record names its one DEK; no key is tried out.
2. A DEK seals for 24 hours or 2^24 records, whichever ends first (far under the 2^32 of NIST SP 800-38D). Uses are
   reserved in blocks in the table, before they happen, so the bound holds over any number of processes and crashes.
3. Unwrapped keys are held for a limited time, unwrapped again before it is up, and asked for once however many requests
   want them. While the provider is away, what is held goes on working for the rest of its time.
4. Whoever changes the state of keys counts that in the table. What is held is forgotten then, and nothing that was held
   is used by a process that could not look for STALE_SECONDS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from vault.crypto import aead, signed_note
from vault.crypto.data_key import DataKey, KeyState, Purpose, WrappedKey
from vault.errors import KeyCompromised, KeyDestroyed, KeysChanged, KeyUnavailable
from vault.frozen import frozen
from vault.keys.cache import KeyCache
from vault.keys.flights import Flights
from vault.keys.keks import EVERY_TENANT, Keks
from vault.keys.table import KeyTable
from vault.tokens import minted_at, uuid7

MAX_AGE = timedelta(hours=24)
MAX_USES = 2**24
RESERVED_USES = 2**14
STALE_SECONDS = 5.0
TRIES = 5

Written = TypeVar("Written")


@dataclass(slots=True)
class _Sealing:
    key_id: UUID
    uses_left: int
    ends: datetime


@frozen
class FingerprintKeys:
    """Values are found by `active`. What is new is found by the successor as well, while that one is prepared."""

    active: DataKey
    successor: DataKey | None

    @property
    def ids(self) -> tuple[UUID, UUID | None]:
        return self.active.id, None if self.successor is None else self.successor.id


@frozen
class TenantKeys:
    """What new values of a tenant are protected by, as of the change of keys with this number."""

    changes: int
    sealing: DataKey
    fingerprints: FingerprintKeys


@frozen
class _AtHand:
    keys: TenantKeys
    until: float


class Keyring:
    """Hands out unwrapped keys. Every method raises a KeyFailure or a StoreError, never a wrong key.

    `compromised`: open with compromised keys, too, which only sealing their records again may do.
    """

    def __init__(self, keks: Keks, table: KeyTable, *, cache_seconds: float, compromised: bool = False) -> None:
        self._keks = keks
        self._table = table
        self._compromised = compromised
        self._opened = KeyCache(cache_seconds, self._find)
        self._sealing: dict[str, _Sealing] = {}
        self._common: dict[Purpose, UUID] = {}
        self._at_hand: dict[str, _AtHand] = {}
        self._fingerprints: dict[str, tuple[UUID, UUID | None]] = {}
        self._flights = Flights()
        self._generation = 0
        self._seen: int | None = None
        self._seen_at = 0.0

    async def health(self) -> None:
        """Raise KeyUnavailable if a provider cannot be used at the moment."""
        await self._keks.health()

    async def check(self) -> None:
        """Raise KeyUnavailable if the KEK that the vault is sealed under is not to be had."""
        if (row := await self._table.newest()) is not None:
            self._opened.put(await self._unwrap(row))

    async def refresh(self) -> int:
        """Forget what is held if the states of keys were changed; return the number of the last change."""
        changes = await self._table.changes()
        if changes != self._seen:
            self.forget()
        self._seen, self._seen_at = changes, asyncio.get_running_loop().time()
        return changes

    async def while_changing(self, write: Callable[[], Awaitable[Written]]) -> Written:
        """Seal and write by `write`; where keys were replaced meanwhile, nothing was written, and it is done again.

        Raises KeysChanged if that goes on.
        """
        for _ in range(TRIES):
            try:
                return await write()
            except KeysChanged:
                await self.refresh()
        raise KeysChanged

    async def changes(self) -> int:
        """Return the number of the last change that what is held belongs to; ask before asking for keys."""
        await self._fresh()
        return self._seen or 0

    def forget(self) -> None:
        """Hold no key any longer, nor what is just being found out."""
        self._generation += 1
        self._flights.clear()
        self._opened.clear()
        self._sealing.clear()
        self._fingerprints.clear()
        self._common.clear()
        self._at_hand.clear()

    async def tenant_keys(self, tenant: str, uses: int) -> TenantKeys:
        """Return a tenant's keys for new values, as many as `uses` says; counts so many uses."""
        held = self._at_hand.get(tenant)
        now = asyncio.get_running_loop().time()
        # Nothing has to be waited for, which is so for nearly all requests.
        if held is not None and now < held.until and now - self._seen_at <= STALE_SECONDS:  # noqa: SIM102  # in order
            if self._taken(tenant, uses) == held.keys.sealing.id:
                return held.keys
        changes = await self.changes()
        fingerprints = await self.fingerprint_keys(tenant)
        keys = TenantKeys(changes, await self.sealing_key(tenant, uses), fingerprints)
        self._hold(tenant, keys)
        return keys

    def _hold(self, tenant: str, keys: TenantKeys) -> None:
        """Have keys at hand until the first of them has to be renewed, or `forget`."""
        if keys.changes != self._seen or self._fingerprints.get(tenant) != keys.fingerprints.ids:
            return
        ids = [keys.sealing.id, *(each for each in keys.fingerprints.ids if each is not None)]
        held = _AtHand(keys, min(self._opened.renewed_at(each) for each in ids))
        self._at_hand[tenant] = held
        asyncio.get_running_loop().call_at(held.until, self._let_go, tenant, held)

    def _let_go(self, tenant: str, held: _AtHand) -> None:
        if self._at_hand.get(tenant) is held:
            del self._at_hand[tenant]

    async def sealing_key(self, tenant: str, uses: int = 1) -> DataKey:
        """Return the key to seal so many records with; counts the uses."""
        if uses > MAX_USES:
            raise ValueError("no key seals so many records")
        await self._fresh()
        while (key_id := self._taken(tenant, uses)) is None:
            await self._flights.join(("seal", tenant), lambda: self._reserve(tenant, uses))
        # The opening cache is what ends a key's stay in memory; sealing goes through it too.
        return await self._opened.get(key_id)

    def _taken(self, tenant: str, uses: int) -> UUID | None:
        """Take uses of what is reserved; None if there are not so many, or the key's time is up."""
        sealing = self._sealing.get(tenant)
        if sealing is None or sealing.uses_left < uses or datetime.now(UTC) >= sealing.ends:
            return None
        sealing.uses_left -= uses
        return sealing.key_id

    async def fingerprint_keys(self, tenant: str) -> FingerprintKeys:
        """Return the tenant's fingerprint key, and the one that is about to replace it."""
        await self._fresh()
        if (ids := self._fingerprints.get(tenant)) is None:
            ids = await self._flights.join(("fingerprint", tenant), lambda: self._fingerprint_ids(tenant))
        active = await self._opened.get(ids[0])
        return FingerprintKeys(active, await self._opened.get(ids[1]) if ids[1] else None)

    async def opening_key(self, key_id: UUID) -> DataKey:
        """Return the key that a record names."""
        await self._fresh()
        return await self._opened.get(key_id)

    def opening_key_at_hand(self, key_id: UUID) -> DataKey | None:
        """Return the key that a record names, if nothing has to be waited for."""
        return self._opened.at_hand(key_id) if self._is_fresh() else None

    def has_common_key(self, purpose: Purpose) -> bool:
        """Tell whether the active key of a purpose that is not one tenant's is held."""
        key_id = self._common.get(purpose)
        return key_id is not None and self.opening_key_at_hand(key_id) is not None

    async def common_key(self, purpose: Purpose) -> DataKey:
        """Return the active key of a purpose that is not one tenant's."""
        await self._fresh()
        if (key_id := self._common.get(purpose)) is None:
            key_id = await self._flights.join((purpose,), lambda: self._common_id(purpose))
        return await self._opened.get(key_id)

    async def active_row(self, tenant: str, purpose: Purpose, state: KeyState = KeyState.ACTIVE) -> WrappedKey:
        """Return the tenant's active (or pre-active) key of a purpose; makes one if there is none."""
        find = self._table.active if state is KeyState.ACTIVE else self._table.successor
        # A loop, because another process may use a key up as soon as it is there.
        while (row := await find(tenant, purpose)) is None:
            await self._table.add(await self.made(tenant, purpose, state))
        return row

    async def made(self, tenant: str, purpose: Purpose, state: KeyState) -> WrappedKey:
        """Return a new key, wrapped by the tenant's active KEK; it is in no table yet."""
        fresh, secret = WrappedKey(uuid7(), tenant, purpose, "", None, datetime.now(UTC), state), aead.new_key()
        kek, wrapped = await self._keks.wrap(tenant, secret, fresh.context)
        public = signed_note.public_key(secret) if purpose is Purpose.SIGNING else None
        return replace(fresh, kek=kek, wrapped=wrapped, public_key=public, created_at=datetime.now(UTC))

    async def _fresh(self) -> None:
        """Look for changes, unless that was done a moment ago by whoever does it every second."""
        if not self._is_fresh():
            await self._flights.join(("changes",), self.refresh)

    def _is_fresh(self) -> bool:
        return self._seen is not None and asyncio.get_running_loop().time() - self._seen_at <= STALE_SECONDS

    async def _find(self, key_id: UUID) -> DataKey:
        row = await self._table.find(key_id)
        if row is None:
            raise KeyUnavailable(key=str(key_id), reason="it is not in the database")
        return await self._unwrap(row)

    async def _unwrap(self, row: WrappedKey) -> DataKey:
        if row.wrapped is None or row.state == KeyState.DESTROYED:
            raise KeyDestroyed(key=str(row.id))
        if row.state == KeyState.COMPROMISED and not self._compromised:
            raise KeyCompromised(key=str(row.id))
        secret = await self._keks.unwrap(row.kek, row.wrapped, row.context)
        if len(secret) != aead.KEY_BYTES:
            raise KeyUnavailable(key=str(row.id), reason="what its KEK unwraps is no data key")
        return DataKey(row.id, secret)

    async def _common_id(self, purpose: Purpose) -> UUID:
        generation = self._generation
        row = await self.active_row(EVERY_TENANT, purpose)
        if generation == self._generation:
            self._common[purpose] = row.id
        return row.id

    async def _fingerprint_ids(self, tenant: str) -> tuple[UUID, UUID | None]:
        generation = self._generation
        active = await self.active_row(tenant, Purpose.FINGERPRINT)
        successor = await self._table.successor(tenant, Purpose.FINGERPRINT)
        ids = (active.id, successor.id if successor else None)
        if generation == self._generation:
            self._fingerprints[tenant] = ids
        return ids

    async def _reserve(self, tenant: str, uses: int) -> None:
        generation = self._generation
        row = await self.active_row(tenant, Purpose.SEAL)
        # Unwrapped first: requests that are refused while the provider is away use up nothing.
        usable = _seals_still(row.id) and await self._opened.get(row.id)
        block = max(RESERVED_USES, uses)
        if usable and await self._table.reserve(row.id, block, MAX_USES):
            if generation == self._generation:
                self._sealing[tenant] = _Sealing(row.id, block, minted_at(row.id) + MAX_AGE)
            return
        await self._table.deactivate(row.id, datetime.now(UTC))
        await self._reserve(tenant, uses)


def _seals_still(key_id: UUID) -> bool:
    """Tell by its id, which is wrapped with it, as the table's times are not; a key of the future has a wrong time."""
    return abs(datetime.now(UTC) - minted_at(key_id)) < MAX_AGE
