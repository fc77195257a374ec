"""The KEKs of all configured providers, as one: which wraps new keys is what the table says, not the configuration.

So all processes change over at the same moment, and a key that was wrapped before is unwrapped by the KEK it names.
"""

from __future__ import annotations

from collections.abc import Sequence

from vault.errors import KeyUnavailable, ShareRejected
from vault.keys.provider import GivenShare, KeyProvider, Sealable, SealedKek
from vault.keys.table import KekTable

EVERY_TENANT = ""


class Keks:
    """Wraps under the active KEK. Every method raises KeyUnavailable or a StoreError."""

    def __init__(self, providers: Sequence[KeyProvider], table: KekTable, *, per_tenant: bool = False) -> None:
        self._providers = providers
        self._table = table
        self._per_tenant = per_tenant

    @property
    def first(self) -> KeyProvider:
        """The provider that makes new KEKs."""
        return self._providers[0]

    @property
    def all(self) -> Sequence[KeyProvider]:
        """All configured providers."""
        return self._providers

    @property
    def reach(self) -> list[str]:
        """What this process can reach: providers by their locations, KEKs that custodians have opened by their ids."""
        opened = [kek for provider in self.sealable for kek in provider.opened]
        return [*opened, *(each.describe().location for each in self._providers if not isinstance(each, Sealable))]

    async def wrap(self, tenant: str, key: bytes, context: bytes) -> tuple[str, bytes]:
        """Return the id of the KEK that a tenant's new keys are wrapped by, and the wrapped key."""
        kek = await self.active(tenant)
        return kek, await self.provider(kek).wrap(kek, key, context)

    async def unwrap(self, kek: str, wrapped: bytes, context: bytes) -> bytes:
        """Return a key that this KEK has wrapped."""
        return await self.provider(kek).unwrap(kek, wrapped, context)

    async def active(self, tenant: str) -> str:
        """Return the active KEK; makes the first one of a tenant, or of an empty vault."""
        owner = tenant if self._per_tenant else EVERY_TENANT
        if (kek := await self._table.active_kek(owner)) is not None:
            return kek
        made = await self.first.newest() if owner == EVERY_TENANT else await self.first.make(owner)
        await self._table.add_active_kek(made, owner, self.first.describe().provider)
        # Another process may have been first. A KEK that was active before does not become so again.
        if (kek := await self._table.active_kek(owner)) is None:
            raise KeyUnavailable(key=made, reason="it is no longer the active one; run `panless keys rotate kek`")
        return kek

    def provider(self, kek: str) -> KeyProvider:
        """Return the provider that holds a KEK."""
        for provider in self._providers:
            if provider.holds(kek):
                return provider
        known = " and ".join(each.describe().location for each in self._providers)
        raise KeyUnavailable(key=kek, reason=f"{known} of [keys] does not hold it")

    def on(self, table: KekTable) -> Keks:
        """Return the same KEKs over another table: that of a transaction."""
        return Keks(self._providers, table, per_tenant=self._per_tenant)

    @property
    def sealable(self) -> list[Sealable]:
        """The providers whose KEKs custodians have to open."""
        return [provider for provider in self._providers if isinstance(provider, Sealable)]

    def sealed(self, *needed: str) -> list[SealedKek]:
        """Return which of these KEKs have to be opened: without any, those that were asked for, or else the newest."""
        return [waiting for provider in self.sealable for waiting in provider.sealed(*needed)]

    def give(self, words: str) -> GivenShare:
        """Take one custodian's share; raises ShareRejected or SharesDoNotFit."""
        for provider in self.sealable:
            if (given := provider.give(words)) is not None:
                return given
        raise ShareRejected(reason="it is of another ceremony than those in the record")

    def seal(self, kek: str | None = None) -> None:
        """Forget a KEK (None: all of them) that custodians have opened, and the shares that were given of it."""
        for provider in self.sealable:
            provider.seal(kek)

    async def health(self) -> None:
        """Raise KeyUnavailable if a provider that has to wrap new keys cannot be used at the moment."""
        in_use = {self.provider(kek) for kek in await self._table.active_keks()}
        for provider in in_use or {self.first}:
            await provider.health()

    async def close(self) -> None:
        for provider in self._providers:
            await provider.close()
