"""Opening and closing the KEKs of a running Panless. Whatever custodians do is recorded, or undone again."""

from __future__ import annotations

from vault.errors import PanlessError, SharesDoNotFit, StoreError
from vault.keys.provider import GivenShare, SealedKek
from vault.requests import Context
from vault.service import Vault

__all__ = ["GivenShare", "SealedKek", "Unsealing"]


class Unsealing:
    """The KEKs of one vault that custodians open. `user`: the operating system's account that asks."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    @property
    def offered(self) -> bool:
        """Whether there is a KEK of custodians at all."""
        return bool(self._vault.keks.sealable)

    def sealed(self) -> list[SealedKek]:
        """Return which KEKs wait for their custodians."""
        return self._vault.keks.sealed()

    async def started(self) -> None:
        """Record that Panless starts sealed."""
        for waiting in self.sealed():
            await self._vault.record("keys.sealed", _context(waiting.kek, "start"))

    async def give(self, words: str, user: str) -> GivenShare:
        """Take one share; raises ShareRejected, SharesDoNotFit or a StoreError."""
        try:
            given = self._vault.keks.give(words)
        except PanlessError as error:
            action = "keys.unseal" if isinstance(error, SharesDoNotFit) else "keys.share"
            await self._vault.record(action, _context(str(error.ids.get("key", "-")), user), refusal=error.code)
            raise
        if given.fresh:
            await self._record(given, user)
        return given

    async def seal(self, user: str) -> bool:
        """Forget every KEK, and every key that was unwrapped; return whether that could be recorded, too."""
        self._vault.keks.seal()
        self._vault.forget_keys()
        try:
            await self._vault.record("keys.seal", _context("-", f"operator {user}"))
        except StoreError:
            return False
        return True

    async def _record(self, given: GivenShare, user: str) -> None:
        context = _context(given.kek, f"custodian {given.custodian}, operator {user}")
        try:
            await self._vault.record("keys.share", context)
            if given.opened:
                await self._vault.record("keys.unseal", context)
        except StoreError:
            self._vault.keks.seal(given.kek)
            self._vault.forget_keys()
            raise


def _context(kek: str, origin: str) -> Context:
    return Context(request_id="-", route="-", destination=kek, origin=origin)
