"""The private key of a certificate authority: made and wrapped, and unwrapped for as long as one signature takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from vault.crypto.certificates import StoredAuthority, authority_end, new_authority
from vault.errors import KeyDestroyed
from vault.keys.keks import EVERY_TENANT, Keks
from vault.tokens import uuid7


async def make_authority(keks: Keks, state: Literal["active", "pre-active"]) -> StoredAuthority:
    """Make an authority whose private key only the KEK can unwrap; raises KeyUnavailable."""
    authority_id, now = uuid7(), datetime.now(UTC)
    certificate, secret = new_authority(authority_id, now)
    unwrapped = StoredAuthority(authority_id, state, certificate, "", None, now, authority_end(now))
    kek, wrapped = await keks.wrap(EVERY_TENANT, secret, unwrapped.context)
    return StoredAuthority(authority_id, state, certificate, kek, wrapped, now, unwrapped.not_after)


async def authority_secret(keks: Keks, authority: StoredAuthority) -> bytes:
    """Return the private key; raises KeyUnavailable if key, certificate and id were not made together."""
    if authority.wrapped is None:
        raise KeyDestroyed(key=str(authority.id))
    return await keks.unwrap(authority.kek, authority.wrapped, authority.context)
