"""Documents: requests, answers and events that are kept for a while. They hold tokens, never card data, and are sealed.

A document is sealed under its tenant's data key and bound to its id, its tenant and its kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from vault.crypto.envelope import Binding, seal_bytes, unseal_bytes
from vault.keys.keyring import Keyring
from vault.tokens import Token, uuid7

PREFIX = "doc"

Written = TypeVar("Written")


@dataclass(frozen=True, slots=True)
class Document:
    """A row of `documents`. `changes`: the number of the last key change when it was sealed."""

    id: UUID
    tenant: str
    kind: str
    data_key: UUID
    sealed: bytes = field(repr=False)
    changes: int = 0

    @property
    def binding(self) -> Binding:
        """What it is sealed for."""
        return Binding(self.tenant, Token(PREFIX, self.id), f"document {self.kind}")


class Documents:
    """Seals and opens for one vault. Everything raises a KeyFailure or a StoreError."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def seal(self, kind: str, tenant: str, data: bytes) -> Document:
        """Return a new document, which is in no table yet."""
        changes = await self._keyring.changes()
        key = await self._keyring.sealing_key(tenant)
        made = Document(uuid7(), tenant, kind, key.id, b"", changes)
        return Document(made.id, tenant, kind, key.id, seal_bytes(key, data, made.binding), changes)

    async def open(self, document: Document) -> bytes:
        """Return what was sealed; raises RecordDoesNotOpen."""
        key = await self._keyring.opening_key(document.data_key)
        return unseal_bytes(key, document.sealed, document.binding)

    async def written(self, write: Callable[[], Awaitable[Written]]) -> Written:
        """Seal and store by `write`: once more where it raises KeysChanged, for then nothing was stored."""
        return await self._keyring.while_changing(write)
