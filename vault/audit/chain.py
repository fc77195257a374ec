"""Hash chains: one per writer, each event naming the hash of the one before it.

    body(n) = canonical(event, chain, seq = n, prev = hash(n - 1))
    hash(n) = SHA-256(0x00 | body(n))          (the leaf hash of RFC 6962)

Numbers start at 1 and have no gaps. The first event of a chain names the newest events of the chains before it
(`continues`), so that what is removed from them is missed. Pure: no clock, no IO.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from uuid import UUID

from vault.audit.event import Event
from vault.frozen import frozen

GENESIS = bytes(32)


@frozen
class Head:
    """The end of a chain: its last number and hash, or 0 and zeros before the first event."""

    chain: UUID
    seq: int = 0
    hash: bytes = GENESIS


@frozen
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
    seq = head.seq + 1
    body = event.body(_named(head.chain), seq, head.hash.hex(), _named_all(continues) if seq == 1 else None).encode(
        "ascii"
    )
    return Link(event, Head(head.chain, seq, leaf_hash(body)), body)


_named = lru_cache(maxsize=64)(str)


def _named_all(heads: Sequence[Head]) -> str | None:
    named = [f'{{"chain":"{each.chain}","hash":"{each.hash.hex()}","seq":{each.seq}}}' for each in heads]
    return f"[{','.join(named)}]" if named else None
