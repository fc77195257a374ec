"""What the keyring and the KEKs need of the database: protocols, which the store keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from vault.crypto.data_key import WrappedKey


class KekTable(Protocol):
    """Where the KEKs' ids and states are kept."""

    async def active_kek(self, tenant: str) -> str | None:
        """Return the id of the tenant's active KEK."""

    async def active_keks(self) -> Sequence[str]:
        """Return the ids of all active KEKs."""

    async def add_active_kek(self, kek: str, tenant: str, provider: str) -> None:
        """Make `kek` the active one, unless another process was first."""


class KeyTable(Protocol):
    """Where wrapped keys are kept."""

    async def find(self, key_id: UUID) -> WrappedKey | None:
        """Return a key in any state."""

    async def newest(self) -> WrappedKey | None:
        """Return the active key that was made last, if there is any."""

    async def active(self, tenant: str, purpose: str) -> WrappedKey | None:
        """Return the tenant's active key of this purpose."""

    async def successor(self, tenant: str, purpose: str) -> WrappedKey | None:
        """Return the tenant's pre-active key of this purpose: it is about to become the active one."""

    async def add(self, key: WrappedKey) -> None:
        """Add a key, unless there is one in its state or its KEK is no longer active."""

    async def reserve(self, key_id: UUID, uses: int, limit: int) -> bool:
        """Add to the key's uses unless that would pass the limit or the key is not active."""

    async def deactivate(self, key_id: UUID, at: datetime) -> None:
        """Let the key open but no longer seal (NIST SP 800-57 part 1: deactivated)."""

    async def changes(self) -> int:
        """Return how often the states of keys were changed by an operator."""
