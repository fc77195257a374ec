"""Sessions of hosted fields: what lets a browser tokenize once, with one publishable key, from one origin, for a time.

A session is `fs_` and the base64url of its id (16 bytes), the second in which it ends (8), its key (16), its origin and
a MAC (32) over them. Nothing is stored of it until it is used: whoever asks for a million sessions fills no table.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from vault.crypto.fingerprint import derived
from vault.errors import FieldSessionEnded
from vault.keys.keyring import Keyring
from vault.tokens import uuid7

_TEXT = re.compile(r"fs_([A-Za-z0-9_-]{96,512})", re.ASCII)
_LABEL = "field-session"
_MAC = 32


@dataclass(frozen=True, slots=True)
class FieldSession:
    """A session: its id, by which it is used once, its end, its publishable key and the origin of the page."""

    id: UUID
    ends: datetime
    key: UUID
    origin: str

    @classmethod
    def begin(cls, key: UUID, origin: str, lifetime: timedelta) -> FieldSession:
        return cls(uuid7(), (datetime.now(UTC) + lifetime).replace(microsecond=0), key, origin)

    @property
    def raw(self) -> bytes:
        ends = int(self.ends.timestamp()).to_bytes(8, "big")
        return self.id.bytes + ends + self.key.bytes + self.origin.encode()


async def sealed(session: FieldSession, keyring: Keyring, tenant: str) -> str:
    """Return a session of a tenant's key as the browser gets it; raises a KeyFailure or StoreError."""
    keys = await keyring.fingerprint_keys(tenant)
    raw = session.raw + derived(keys.active, _LABEL, session.raw)
    return "fs_" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read(text: str) -> tuple[FieldSession, bytes]:
    """Return what a text says that it is, and its MAC, which is not verified yet; raises FieldSessionEnded."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise FieldSessionEnded
    try:
        raw = base64.b64decode(match[1] + "=" * (-len(match[1]) % 4), altchars=b"-_", validate=True)
        ends = datetime.fromtimestamp(int.from_bytes(raw[16:24], "big"), UTC)
        claimed = FieldSession(UUID(bytes=raw[:16]), ends, UUID(bytes=raw[24:40]), raw[40:-_MAC].decode())
    except (ValueError, OverflowError, OSError):
        raise FieldSessionEnded from None
    return claimed, raw[-_MAC:]


async def verify(session: FieldSession, mac: bytes, keyring: Keyring, tenant: str) -> None:
    """Raise FieldSessionEnded unless the session was made with the tenant's keys and has not ended."""
    keys = await keyring.fingerprint_keys(tenant)
    in_use = [keys.active] if keys.successor is None else [keys.active, keys.successor]
    right = [hmac.compare_digest(derived(each, _LABEL, session.raw), mac) for each in in_use]
    if not any(right) or session.ends <= datetime.now(UTC):
        raise FieldSessionEnded
