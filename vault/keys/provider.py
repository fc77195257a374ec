"""The interface of a key provider: it holds KEKs, wraps keys with them and never gives one away.

A KEK has an id: printable text without a secret, unique among all providers, kept beside each key that it wraps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ProviderDescription:
    """What may be shown of a provider: its type, and where it is."""

    provider: str
    location: str


@dataclass(frozen=True, slots=True)
class SealedKek:
    """A KEK that waits for its custodians: how many shares were given, how many are needed."""

    kek: str
    given: int
    needed: int


@dataclass(frozen=True, slots=True)
class GivenShare:
    """What came of a share. `fresh`: the KEK was not open before; `opened`: it is now."""

    kek: str
    custodian: str
    given: int
    needed: int
    opened: bool
    fresh: bool


class KeyProvider(Protocol):
    """Wraps and unwraps 32-byte keys. `context` is authenticated: unwrapping with another one fails.

    Every method raises KeyUnavailable: KeyProviderUnavailable where the provider does not answer and may do so later.
    """

    async def wrap(self, kek: str, key: bytes, context: bytes) -> bytes:
        """Return the key, wrapped by this KEK."""

    async def unwrap(self, kek: str, wrapped: bytes, context: bytes) -> bytes:
        """Return the key."""

    async def health(self) -> None:
        """Raise KeyUnavailable if the provider cannot be used at the moment."""

    def describe(self) -> ProviderDescription:
        """Say what this provider is."""

    def holds(self, kek: str) -> bool:
        """Tell from its id whether a KEK is, or was, one of this provider's."""

    async def newest(self) -> str:
        """Return the id of the KEK that an empty vault begins with."""

    async def make(self, tenant: str | None) -> str:
        """Make a KEK, for one tenant or for all, and return its id; raises KekNotMade where that is done elsewhere."""

    async def destroy(self, kek: str) -> None:
        """Destroy a KEK for good; raises KekNotDestroyed where that is done elsewhere."""

    async def close(self) -> None:
        """Disconnect, and forget what is in memory."""


@runtime_checkable
class Sealable(Protocol):
    """A provider whose KEKs have to be opened by custodians, each with a share, after every start."""

    def sealed(self, *needed: str) -> list[SealedKek]:
        """Return which of these KEKs have to be opened: without any, those that were asked for, or else the newest."""

    @property
    def opened(self) -> Sequence[str]:
        """The ids of the KEKs that are open."""

    def give(self, words: str) -> GivenShare | None:
        """Take one share; return None if it is of none of these KEKs; raises ShareRejected or SharesDoNotFit."""

    def seal(self, kek: str | None = None) -> None:
        """Forget a KEK (None: all of them), and the shares that were given of it."""
