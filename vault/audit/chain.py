"""Hash chains: one per writer, each event naming the hash of the one before it.

    body(n) = canonical(event, chain, seq = n, prev = hash(n - 1))
    hash(n) = SHA-256(0x00 | body(n))          (the leaf hash of RFC 6962)

Numbers start at 1 and have no gaps. The first event of a chain names the newest events of the chains before it
(`continues`), so that what is removed from them is missed. Pure: no clock, no IO.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from vault.audit.event import Event, canonical

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: its last number and hash, or 0 and zeros before the first event."""

    chain: UUID
    seq: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class Link:
    """One chained event, as it is stored."""

    event: Event
    head: Head
    body: bytes


def leaf_hash(body: bytes) -> bytes:
    """RFC 6962, section 2.1."""
    return hashlib.sha256(b"\x00" + body).digest()


def extend(head: Head, event: Event, continues: Sequence[Head] = ()) -> Link:
    """Chain one event after `head`. `continues` belongs to the first event only."""
    members = event.fields()
    members |= {"chain": str(head.chain), "seq": head.seq + 1, "prev": head.hash.hex()}
    if head.seq == 0 and continues:
        members["continues"] = [
            {"chain": str(each.chain), "seq": each.seq, "hash": each.hash.hex()} for each in continues
        ]
    body = canonical(members)
    return Link(event, Head(head.chain, head.seq + 1, leaf_hash(body)), body)
