"""The keys of verification codes: in the memory of the running processes and nowhere else.

Rules:
1. A key is made by one process and given to the others, each copy encrypted to a key pair that only its receiver has.
   The receiver takes its copy out of the table, so what is stored opens nothing once the processes have ended.
2. A process gets keys only if a MAC shows that it has access to the KEK.
3. A key seals for a part of a code's life time, and is forgotten when the last code that it can have sealed has ended.
   Key pairs are replaced as often.
4. All of it needs the KEK, or what was unwrapped by it a moment ago: a sealed vault opens no codes.
5. So a restart of all processes loses the codes, and nothing can bring them back.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from vault.crypto import aead, sharing
from vault.crypto.data_key import DataKey, Purpose
from vault.crypto.fingerprint import derived
from vault.crypto.sharing import Copy, Peer
from vault.keys.keyring import MAX_USES, Keyring
from vault.tokens import uuid7

SEALS_FOR = 4  # a key seals for this part of a code's life time
WAIT_SECONDS = 5.0
LOOK_SECONDS = 0.1


class LeaseTable(Protocol):
    """Where processes find one another, and copies wait to be taken."""

    async def peers(self, own: UUID) -> Sequence[Peer]:
        """Return the other processes that are alive."""

    async def give(self, copies: Sequence[Copy]) -> None:
        """Leave copies for other processes."""

    async def take(self, own: UUID) -> Sequence[Copy]:
        """Return the copies for this process, and delete them."""


@dataclass(slots=True)
class _Held:
    key: DataKey
    seals_until: datetime
    expires_at: datetime
    uses: int = 0


class LeaseKeys:
    """The lease keys of one process."""

    def __init__(self, keyring: Keyring, table: LeaseTable, lifetime: timedelta) -> None:
        self.id = uuid7()
        self._keyring = keyring
        self._table = table
        self._lifetime = lifetime
        self._held: dict[UUID, _Held] = {}
        self._own: _Held | None = None
        self._given: set[tuple[UUID, UUID, UUID]] = set()
        self._pairs = [sharing.PrivateKey()]
        self._paired_at = datetime.now(UTC)
        self._lock = asyncio.Lock()

    @property
    def public_key(self) -> bytes:
        """What others encrypt this process's copies to."""
        return self._pairs[0].public

    async def mac(self) -> bytes:
        """Return what shows others that this process has access to the KEK; raises KeyUnavailable."""
        return _mac(await self._keyring.common_key(Purpose.PROCESS), self.id, self.public_key)

    async def sealing_key(self) -> DataKey:
        """Return the key to seal one code with; the other processes can have it before this returns."""
        own = self._own
        if own is not None and _seals_still(own) and self._keyring.has_common_key(Purpose.PROCESS):
            own.uses += 1
            return own.key
        await self._keyring.common_key(Purpose.PROCESS)  # of a sealed vault, codes are no exception
        async with self._lock:
            if self._own is None or not _seals_still(self._own):
                self._own = await self._made()
            self._own.uses += 1
            return self._own.key

    async def opening_key(self, key_id: UUID) -> DataKey | None:
        """Return the key that a lease names, or None if no process has it any more."""
        if (here := self._held.get(key_id)) is not None and self._keyring.has_common_key(Purpose.PROCESS):
            return here.key
        await self._keyring.common_key(Purpose.PROCESS)
        ends = asyncio.get_running_loop().time() + WAIT_SECONDS
        while (held := self._held.get(key_id)) is None:
            await self._take()
            if key_id in self._held:
                continue
            if asyncio.get_running_loop().time() >= ends or not await self._table.peers(self.id):
                return None
            await asyncio.sleep(LOOK_SECONDS)
        return held.key

    async def beat(self) -> None:
        """Take what others have left, give what newcomers lack, forget what has ended. Call it every second."""
        await self._take()
        now = datetime.now(UTC)
        for key_id in [key_id for key_id, held in self._held.items() if held.expires_at <= now]:
            del self._held[key_id]
        self._given = {each for each in self._given if each[0] in self._held}
        del self._pairs[1:]
        if now - self._paired_at > self._lifetime:
            # The old pair stays until the next beat: copies may be on their way to it.
            self._pairs.insert(0, sharing.PrivateKey())
            self._paired_at = now
        await self._give(list(self._held.values()))

    def forget(self) -> None:
        """Hold no key any longer."""
        self._held.clear()
        self._own = None

    async def _made(self) -> _Held:
        now = datetime.now(UTC)
        seals_until = now + self._lifetime / SEALS_FOR
        made = _Held(DataKey(uuid7(), aead.new_key()), seals_until, seals_until + self._lifetime)
        await self._give([made])
        self._held[made.key.id] = made
        return made

    async def _give(self, keys: Iterable[_Held]) -> None:
        peers = await self._table.peers(self.id)
        wanted = [(held, peer) for held in keys for peer in peers]
        if not wanted:
            return
        common = await self._keyring.common_key(Purpose.PROCESS)
        missing = [(held, peer) for held, peer in wanted if (held.key.id, peer.id, common.id) not in self._given]
        trusted = [(held, peer) for held, peer in missing if _is_one_of_us(common, peer)]
        if trusted:
            await self._table.give([_copy(common, held, peer) for held, peer in trusted])
            self._given.update((held.key.id, peer.id, common.id) for held, peer in trusted)

    async def _take(self) -> None:
        copies = await self._table.take(self.id)
        if not copies:
            return
        common = await self._keyring.common_key(Purpose.PROCESS)
        for copy in copies:
            secret = next((found for pair in self._pairs if (found := _opened(common, copy, pair))), None)
            if secret is not None:
                held = _Held(DataKey(copy.key, secret), datetime.now(UTC), copy.expires_at)
                self._held.setdefault(copy.key, held)


def _seals_still(held: _Held) -> bool:
    return held.seals_until > datetime.now(UTC) and held.uses < MAX_USES


def _mac(common: DataKey, process: UUID, public_key: bytes) -> bytes:
    return derived(common, "process", process.bytes, public_key)


def _is_one_of_us(common: DataKey, peer: Peer) -> bool:
    return peer.mac is not None and hmac.compare_digest(peer.mac, _mac(common, peer.id, peer.public_key))


def _copy(common: DataKey, held: _Held, peer: Peer) -> Copy:
    context = _context(common, held.key.id, peer.id, held.expires_at)
    encrypted = sharing.encrypt_to(peer.public_key, held.key.secret, context)
    return Copy(held.key.id, peer.id, encrypted, held.expires_at)


def _opened(common: DataKey, copy: Copy, pair: sharing.PrivateKey) -> bytes | None:
    try:
        return pair.decrypt(copy.encrypted, _context(common, copy.key, copy.process, copy.expires_at))
    except aead.DoesNotOpen:
        return None


def _context(common: DataKey, key: UUID, process: UUID, expires_at: datetime) -> bytes:
    """Keyed, so that only who has access to the KEK can leave a copy, or say how long its key is held."""
    return derived(common, "lease key", key.bytes, process.bytes, expires_at.isoformat().encode())
