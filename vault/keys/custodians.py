"""Key provider `custodians`: split knowledge and dual control (PCI DSS v4.0.1, 3.7.6).

Nobody holds the KEK. It is in shares, one for each custodian, and comes into memory when enough of them have given
theirs; until then the provider is sealed. Shares are held until the KEK is complete, for an hour at most, and nowhere
but in memory. Wrapping is AES-256-GCM with the context as associated data.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from vault.errors import KekNotDestroyed, KekNotMade, KeyUnavailable, ShareRejected, SharesDoNotFit, VaultSealed
from vault.key_settings import CustodiansSettings
from vault.keys import shares
from vault.keys.custodian_record import ID_PREFIX, KekRecord, read_record
from vault.keys.held import unwrapped_by, wrapped_by
from vault.keys.provider import GivenShare, ProviderDescription, SealedKek
from vault.keys.shares import Share

SHARE_SECONDS = 3600.0


@dataclass(slots=True)
class _Collected:
    """The shares of one KEK that were given so far, by number."""

    shares: dict[int, Share] = field(default_factory=dict, repr=False)
    timer: asyncio.TimerHandle | None = None


class CustodiansKeyProvider:
    """Reads the record when built, and again when a KEK or a share is not known from it; raises KeyUnavailable."""

    def __init__(self, settings: CustodiansSettings, *, share_seconds: float = SHARE_SECONDS) -> None:
        self._path = settings.record
        self._share_seconds = share_seconds
        self._records: dict[str, KekRecord] = {}
        self._open: dict[str, bytes] = {}
        self._collected: dict[str, _Collected] = {}
        self._asked: dict[str, None] = {}
        self._read()

    async def wrap(self, kek: str, key: bytes, context: bytes) -> bytes:
        return wrapped_by(self._kek(kek), key, context)

    async def unwrap(self, kek: str, wrapped: bytes, context: bytes) -> bytes:
        return unwrapped_by(self._kek(kek), kek, wrapped, context)

    async def health(self) -> None:
        """Raise VaultSealed if no KEK is open, or one is not that was needed."""
        for waiting in self.sealed():
            raise VaultSealed(given=waiting.given, needed=waiting.needed)

    def describe(self) -> ProviderDescription:
        return ProviderDescription("custodians", str(self._path))

    def holds(self, kek: str) -> bool:
        if kek not in self._records and kek.startswith(ID_PREFIX):
            self._read()
        return kek in self._records

    async def newest(self) -> str:
        return list(self._records)[-1]

    async def make(self, tenant: str | None) -> str:
        del tenant
        raise KekNotMade(provider="custodians", how="Hold a ceremony: `panless keys ceremony`")

    async def destroy(self, kek: str) -> None:
        del kek
        how = "Let all custodians destroy their shares, then give the command again with --gone"
        raise KekNotDestroyed(provider="custodians", how=how)

    async def close(self) -> None:
        self.seal()

    def sealed(self, *needed: str) -> list[SealedKek]:
        """Return which of these KEKs have to be opened: without any, those that were asked for, or else the newest."""
        wanted = list(needed or self._asked)
        if not wanted and not self._open:
            wanted = list(self._records)[-1:]
        return [self._waiting(kek) for kek in wanted if kek not in self._open and self.holds(kek)]

    @property
    def opened(self) -> list[str]:
        return list(self._open)

    def give(self, words: str) -> GivenShare | None:
        """Take one share; return None if it is of none of these KEKs.

        Raises ShareRejected, and SharesDoNotFit when enough were given that are not the KEK's: all are dropped then.
        """
        share = shares.read(words)
        record = self._record_of(share)
        if record is None:
            return None
        if share.threshold != record.threshold or share.number > len(record.custodians):
            raise ShareRejected(reason=f"it is not as {self._path} says")
        fresh = record.id not in self._open
        if fresh:
            self._collect(record, share)
        given = self._waiting(record.id).given
        return GivenShare(
            kek=record.id,
            custodian=record.custodians[share.number - 1],
            given=given,
            needed=record.threshold,
            opened=record.id in self._open,
            fresh=fresh,
        )

    def seal(self, kek: str | None = None) -> None:
        """Forget a KEK (None: all of them), and the shares that were given of it."""
        for each in [*self._open, *self._collected] if kek is None else [kek]:
            self._open.pop(each, None)
            self._drop(each)

    def _kek(self, kek: str) -> bytes:
        if not self.holds(kek):
            raise KeyUnavailable(key=kek, reason=f"it is not in {self._path}")
        if kek not in self._open:
            self._asked[kek] = None
            waiting = self._waiting(kek)
            raise VaultSealed(given=waiting.given, needed=waiting.needed)
        return self._open[kek]

    def _waiting(self, kek: str) -> SealedKek:
        record, collected = self._records[kek], self._collected.get(kek)
        given = len(collected.shares) if collected else 0
        return SealedKek(kek, record.threshold if kek in self._open else given, record.threshold)

    def _record_of(self, share: Share) -> KekRecord | None:
        if all(record.identifier != share.identifier for record in self._records.values()):
            self._read()
        return next((each for each in self._records.values() if each.identifier == share.identifier), None)

    def _collect(self, record: KekRecord, share: Share) -> None:
        collected = self._collected.get(record.id)
        if collected is None:
            timer = asyncio.get_running_loop().call_later(self._share_seconds, self._drop, record.id)
            collected = self._collected[record.id] = _Collected(timer=timer)
        if collected.shares.setdefault(share.number, share) != share:
            raise ShareRejected(reason=f"another share of {record.custodians[share.number - 1]} was given before")
        if len(collected.shares) < record.threshold:
            return
        self._drop(record.id)
        try:
            kek = shares.combine(list(collected.shares.values()))
        except shares.DoNotCombine:
            kek = b""
        if not record.proves(kek):
            raise SharesDoNotFit(key=record.id, needed=record.threshold)
        self._open[record.id] = kek
        self._asked.pop(record.id, None)

    def _drop(self, kek: str) -> None:
        collected = self._collected.pop(kek, None)
        if collected is not None and collected.timer is not None:
            collected.timer.cancel()

    def _read(self) -> None:
        self._records = {record.id: record for record in read_record(self._path)}
        self._asked = {kek: None for kek in self._asked if kek in self._records}
