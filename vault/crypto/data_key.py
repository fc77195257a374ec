"""Data keys as values: unwrapped (DataKey) and as they are stored (WrappedKey)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from vault.crypto.aead import Cipher
from vault.crypto.encoding import length_prefixed


class Purpose(StrEnum):
    """What a data key is for. Signing keys and the processes' key are not of one tenant: theirs is the empty one."""

    SEAL = "seal"
    FINGERPRINT = "fingerprint"
    SIGNING = "signing"
    PROCESS = "process"


class KeyState(StrEnum):
    """NIST SP 800-57 part 1, section 7. Active keys protect and open; deactivated ones open; the others do neither."""

    PRE_ACTIVE = "pre-active"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"


@dataclass(slots=True, unsafe_hash=True)
class DataKey:
    """An unwrapped data key: its id, and 32 secret bytes that no repr shows. It is never changed.

    What is set up once to work with it is held with it, and ends with it.
    """

    id: UUID
    secret: bytes = field(repr=False)
    _cipher: Cipher | None = field(default=None, init=False, repr=False, compare=False)
    _hmac: HMAC | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def cipher(self) -> Cipher:
        """AES-256-GCM under this key."""
        if self._cipher is None:
            self._cipher = Cipher(self.secret)
        return self._cipher

    def mac(self, message: bytes) -> bytes:
        """Return the HMAC-SHA-256 of a message under this key (RFC 2104)."""
        if self._hmac is None:
            self._hmac = HMAC(self.secret, SHA256())
        keyed = self._hmac.copy()
        keyed.update(message)
        return keyed.finalize()


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A row of `data_keys`: wrapped by the KEK named in `kek`. Of a destroyed key, nothing is left but its row."""

    id: UUID
    tenant: str
    purpose: str
    kek: str
    wrapped: bytes | None
    created_at: datetime
    state: str = KeyState.ACTIVE
    public_key: bytes | None = None

    @property
    def context(self) -> bytes:
        """What wrapping binds the key to: unwrapped as another tenant's, or for another purpose, it fails."""
        return b"panless data key" + length_prefixed(self.id.bytes, self.tenant.encode(), self.purpose.encode())
