"""The keyring: finds, makes, unwraps and caches data keys. Knows when a DEK has to be replaced.

Rules:
1. A record names its one DEK; no key is tried out.
2. A DEK seals for 24 hours or 2^24 records, whichever ends first (far under the 2^32 of NIST SP 800-38D). Uses are
   reserved in blocks in the table, before they happen, so the bound holds over any number of processes and crashes.
3. Unwrapped keys are held for a limited time, and are asked for once however many requests want them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from vault.crypto import aead
from vault.crypto.data_key import DataKey, Purpose, WrappedKey
from vault.errors import KeyUnavailable
from vault.keys.provider import KeyProvider
from vault.tokens import uuid7

MAX_AGE = timedelta(hours=24)
MAX_USES = 2**24
RESERVED_USES = 2**14


class KeyTable(Protocol):
    """Where wrapped keys are kept."""

    async def find(self, key_id: UUID) -> WrappedKey | None:
        """Return a key in any state."""

    async def newest(self) -> WrappedKey | None:
        """Return the key that was made last, if there is any."""

    async def active(self, tenant: str, purpose: str) -> WrappedKey | None:
        """Return the tenant's active key of this purpose."""

    async def add_active(self, key: WrappedKey) -> None:
        """Make `key` the active one, unless another process was first."""

    async def reserve(self, key_id: UUID, uses: int, limit: int) -> bool:
        """Add to the key's uses unless that would pass the limit or the key is not active."""

    async def deactivate(self, key_id: UUID, at: datetime) -> None:
        """Let the key open but no longer seal (NIST SP 800-57 part 1: deactivated)."""


@dataclass(slots=True)
class _Sealing:
    key_id: UUID
    created_at: datetime
    uses_left: int


class Keyring:
    """Hands out unwrapped keys. Every method raises KeyUnavailable or a StoreError, never a wrong key."""

    def __init__(self, provider: KeyProvider, table: KeyTable, *, cache_seconds: float) -> None:
        self._provider = provider
        self._table = table
        self._cache_seconds = cache_seconds
        self._opened: dict[UUID, DataKey] = {}
        self._sealing: dict[str, _Sealing] = {}
        self._fingerprints: dict[str, UUID] = {}
        self._under_way: dict[object, asyncio.Task[DataKey]] = {}

    async def health(self) -> None:
        """Raise KeyUnavailable if the provider cannot be used at the moment."""
        await self._provider.health()

    async def check(self) -> None:
        """Raise KeyUnavailable if the provider's KEK is not the one that the vault is sealed under."""
        if (row := await self._table.newest()) is not None:
            await self._unwrap(row)

    async def sealing_key(self, tenant: str) -> DataKey:
        """Return the key to seal one record with; counts one use."""
        while True:
            sealing = self._sealing.get(tenant)
            if sealing and sealing.uses_left > 0 and datetime.now(UTC) - sealing.created_at < MAX_AGE:
                sealing.uses_left -= 1
                # The opening cache is what ends a key's stay in memory; sealing goes through it too.
                return await self.opening_key(sealing.key_id)
            await self._once(("seal", tenant), lambda: self._reserve(tenant))

    async def fingerprint_key(self, tenant: str) -> DataKey:
        """Return the tenant's fingerprint key."""
        key_id = self._fingerprints.get(tenant)
        if key_id is None:
            key = await self._once(("fingerprint", tenant), lambda: self._active(tenant, Purpose.FINGERPRINT))
            self._fingerprints[tenant] = key_id = key.id
        return await self.opening_key(key_id)

    async def opening_key(self, key_id: UUID) -> DataKey:
        """Return the key that a record names."""
        held = self._opened.get(key_id)
        if held is not None:
            return held
        return await self._once(("open", key_id), lambda: self._find(key_id))

    async def _once(self, name: object, make: Callable[[], Awaitable[DataKey]]) -> DataKey:
        async def run() -> DataKey:
            try:
                return await make()
            finally:
                del self._under_way[name]

        task = self._under_way.get(name)
        if task is None:
            task = self._under_way[name] = asyncio.create_task(run())
        return await asyncio.shield(task)

    async def _find(self, key_id: UUID) -> DataKey:
        row = await self._table.find(key_id)
        if row is None:
            raise KeyUnavailable(key=str(key_id), reason="it is not in the database")
        return await self._unwrap(row)

    async def _unwrap(self, row: WrappedKey) -> DataKey:
        key = DataKey(row.id, await self._provider.unwrap(row.wrapped, row.context))
        if row.id not in self._opened:
            asyncio.get_running_loop().call_later(self._cache_seconds, self._opened.pop, row.id, None)
        self._opened[row.id] = key
        return key

    async def _active_row(self, tenant: str, purpose: Purpose) -> WrappedKey:
        # A loop, because another process may use a key up as soon as it is there.
        while (row := await self._table.active(tenant, purpose)) is None:
            kek = self._provider.describe().kek
            fresh = WrappedKey(uuid7(), tenant, purpose, kek, b"", datetime.now(UTC))
            wrapped = await self._provider.wrap(aead.new_key(), fresh.context)
            await self._table.add_active(replace(fresh, wrapped=wrapped))
        return row

    async def _active(self, tenant: str, purpose: Purpose) -> DataKey:
        return await self._unwrap(await self._active_row(tenant, purpose))

    async def _reserve(self, tenant: str) -> DataKey:
        row = await self._active_row(tenant, Purpose.SEAL)
        fresh = datetime.now(UTC) - row.created_at < MAX_AGE
        if fresh and await self._table.reserve(row.id, RESERVED_USES, MAX_USES):
            key = await self._unwrap(row)
            self._sealing[tenant] = _Sealing(key.id, row.created_at, RESERVED_USES)
            return key
        await self._table.deactivate(row.id, datetime.now(UTC))
        return await self._reserve(tenant)
