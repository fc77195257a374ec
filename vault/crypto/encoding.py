"""One unambiguous encoding for lists of byte strings."""

from __future__ import annotations

import struct

_length = struct.Struct(">H").pack


def length_prefixed(*parts: bytes) -> bytes:
    """Concatenate parts, each after its length (two bytes, big-endian): no two lists give the same bytes."""
    return b"".join([_length(len(part)) + part for part in parts])
