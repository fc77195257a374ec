"""The private key of a certificate authority: made and wrapped, and unwrapped for as long as one signature takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from vault.crypto.certificates import StoredAuthority, authority_end, new_authority
from vault.keys.provider import KeyProvider
from vault.tokens import uuid7


async def make_authority(provider: KeyProvider, state: Literal["active", "next"]) -> StoredAuthority:
    """Make an authority whose private key only the provider can unwrap; raises KeyUnavailable."""
    authority_id, now = uuid7(), datetime.now(UTC)
    certificate, secret = new_authority(authority_id, now)
    kek = provider.describe().kek
    unwrapped = StoredAuthority(authority_id, state, certificate, kek, b"", now, authority_end(now))
    wrapped = await provider.wrap(secret, unwrapped.context)
    return StoredAuthority(authority_id, state, certificate, kek, wrapped, now, unwrapped.not_after)


async def authority_secret(provider: KeyProvider, authority: StoredAuthority) -> bytes:
    """Return the private key; raises KeyUnavailable if key, certificate and id were not made together."""
    return await provider.unwrap(authority.wrapped, authority.context)
