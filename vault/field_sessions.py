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
from functools import partial
from uuid import UUID

from vault.crypto.fingerprint import derived
from vault.errors import FieldSessionEnded, OriginNotAllowed, PublishableKeyUnknown
from vault.keys.keyring import Keyring
from vault.store.batch import Batcher
from vault.store.database import Pool
from vault.store.publishable_keys import PublishableKeyRow, find_keys
from vault.tokens import read_type_id, type_id, uuid7

KEY_PREFIX = "pk"
LOOK_UP_LIMIT = 512
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


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that may be used, and its publishable key."""

    session: FieldSession
    key: PublishableKeyRow

    @property
    def text(self) -> str:
        """The publishable key as pages have it."""
        return type_id(KEY_PREFIX, self.key.id)


class FieldSessions:
    """Publishable keys of one vault, and sessions with them: any of its processes recognises those of the others."""

    def __init__(self, pool: Pool, keyring: Keyring) -> None:
        self._keyring = keyring
        self._keys: Batcher[UUID, PublishableKeyRow | None] = Batcher(partial(find_keys, pool), limit=LOOK_UP_LIMIT)

    async def close(self) -> None:
        await self._keys.close()

    async def key(self, text: str, origin: str) -> PublishableKeyRow:
        """Return the publishable key that a page of an origin may use.

        Raises PublishableKeyUnknown, OriginNotAllowed or StoreError. Nothing is recorded: it is no secret, and
        strangers could fill the log.
        """
        identifier = read_type_id(KEY_PREFIX, text)
        return await self._key(identifier, origin)

    async def _key(self, identifier: UUID | None, origin: str) -> PublishableKeyRow:
        row = await self._keys.submit(identifier) if identifier is not None else None
        if row is None:
            raise PublishableKeyUnknown
        if origin not in row.origins:
            raise OriginNotAllowed
        return row

    async def begin(self, text: str, origin: str, lifetime: timedelta) -> tuple[str, datetime]:
        """Return a new session for a page of an origin, and when it ends; raises what `key` does, or a KeyFailure."""
        key = await self.key(text, origin)
        session = FieldSession.begin(key.id, origin, lifetime)
        return await sealed(session, self._keyring, key.tenant), session.ends

    async def open(self, text: str) -> Opened:
        """Return the session that a text is; raises FieldSessionEnded, or what `key` does."""
        session, mac = read(text)
        key = await self._key(session.key, session.origin)
        await verify(session, mac, self._keyring, key.tenant)
        return Opened(session, key)


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
