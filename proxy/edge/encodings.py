"""Content codings (RFC 9110, section 8.4.1): gzip and deflate, undone within a limit."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

GZIP = 16 + zlib.MAX_WBITS
READABLE = {"gzip", "x-gzip", "deflate"}
_MAX_MEMBERS = 16  # of a gzip body; each costs a look at the rest


class DoesNotInflate(Exception):
    """The bytes are not what their coding says, or it is not one of ours."""


class InflatesTooFar(Exception):
    """More comes out than the limit allows."""


def coding(values: Sequence[str]) -> str:
    """Return the one coding that Content-Encoding headers name, in lower case; empty for none."""
    if not values:
        return ""
    named = [each.strip().lower() for value in values for each in value.split(",")]
    return ",".join(each for each in named if each not in ("", "identity"))


def window_bits(name: str, first: bytes) -> int:
    """Return what zlib needs to know; raises DoesNotInflate for other codings."""
    if name in ("gzip", "x-gzip"):
        return GZIP
    if name != "deflate":
        raise DoesNotInflate
    # RFC 9110 means zlib; some senders write raw deflate.
    has_header = len(first) > 1 and first[0] & 0x0F == 8 and int.from_bytes(first[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def undone(raw: bytes, name: str, limit: int) -> bytes:
    """Return a whole body without its coding; raises DoesNotInflate or InflatesTooFar."""
    if not name or not raw:
        return raw
    bits = window_bits(name, raw)
    plain = b""
    for _ in range(_MAX_MEMBERS):
        inflater = zlib.decompressobj(bits)
        try:
            plain += inflater.decompress(raw, limit + 1 - len(plain))
        except zlib.error:
            raise DoesNotInflate from None
        if len(plain) > limit:
            raise InflatesTooFar
        if not inflater.eof:
            raise DoesNotInflate
        raw = inflater.unused_data
        if not raw:
            return plain
    raise DoesNotInflate
