"""The interface of a key provider: it holds the KEK, wraps data keys with it and never gives it away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ProviderDescription:
    """What may be shown of a provider: its type, the id of its KEK, and where it is."""

    provider: str
    kek: str
    location: str


class KeyProvider(Protocol):
    """Wraps and unwraps 32-byte keys. `context` is authenticated: unwrapping with another one fails."""

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return the wrapped key; raises KeyUnavailable."""

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key; raises KeyUnavailable."""

    async def health(self) -> None:
        """Raise KeyUnavailable if the KEK cannot be used at the moment."""

    def describe(self) -> ProviderDescription:
        """Say what this provider is."""
