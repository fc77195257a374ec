"""The forward proxy's certificate authority at work: certificates for hosts, minted when they are first asked for.

Rules:
1. The authority's private key is unwrapped for each signature and not held.
2. A host's certificate is kept until its authority is replaced or its end is near.
3. Another process may replace the authority at any time: it is looked at again after CHECK_SECONDS.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from vault.crypto.certificates import Leaf, StoredAuthority, new_leaf
from vault.errors import AuthorityMissing, KeyProviderUnavailable, PanlessError
from vault.keys.authority_key import authority_secret
from vault.keys.keks import Keks
from vault.store.authorities import active_authority
from vault.store.database import Database, Pool, Role

__all__ = ["Authority", "Leaf"]

CHECK_SECONDS = 10.0
RENEWED_BEFORE = timedelta(days=3)


class Authority:
    """The certificates of one process. Build it with `open`."""

    def __init__(self, keks: Keks, pool: Pool) -> None:
        self._keks = keks
        self._pool = pool
        self._lock = asyncio.Lock()
        self._leaves: dict[str, Leaf] = {}
        self._signed_by: UUID | None = None
        self._checked: float | None = None

    @classmethod
    async def open(cls, keks: Keks, database: Database) -> Authority:
        """Connect as the proxy role; raises AuthorityMissing, KeyUnavailable or a StoreError.

        While the key provider does not answer, nothing is checked: it may answer later.
        """
        pool = await database.pool(Role.PROXY, size=1)
        try:
            authority = cls(keks, pool)
            await authority._ready()
        except PanlessError:
            await pool.close()
            raise
        return authority

    async def _ready(self) -> None:
        with suppress(KeyProviderUnavailable):  # it may come back; until then connections are refused
            await authority_secret(self._keks, await self._active())

    async def close(self) -> None:
        await self._pool.close()

    async def leaf(self, host: str) -> Leaf:
        """Return a certificate for a host; the same one until it has to be replaced."""
        held = self._held(host)
        if held is not None and not self._check_is_due():
            return held
        async with self._lock:
            if self._check_is_due():
                await self._check()
            return self._held(host) or await self._mint(host)

    def _held(self, host: str) -> Leaf | None:
        held = self._leaves.get(host)
        return held if held is not None and held.not_after - datetime.now(UTC) > RENEWED_BEFORE else None

    def _check_is_due(self) -> bool:
        return self._checked is None or time.monotonic() - self._checked > CHECK_SECONDS

    async def _check(self) -> StoredAuthority:
        active = await self._active()
        if active.id != self._signed_by:
            self._leaves.clear()
            self._signed_by = active.id
        self._checked = time.monotonic()
        return active

    async def _active(self) -> StoredAuthority:
        active = await active_authority(self._pool)
        if active is None:
            await self._keks.health()  # without a KEK the first one could not be made yet
        if active is None or active.not_after <= datetime.now(UTC):
            raise AuthorityMissing
        return active

    async def _mint(self, host: str) -> Leaf:
        active = await self._check()
        secret = await authority_secret(self._keks, active)
        leaf = await asyncio.to_thread(new_leaf, active.certificate, secret, host, datetime.now(UTC))
        self._leaves[host] = leaf
        return leaf
