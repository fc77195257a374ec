"""Heads of messages (RFC 9112, sections 2 to 6): lines out, raw headers in. Pure."""

from __future__ import annotations

from collections.abc import Sequence

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 256
VERSIONS = frozenset({"1.0", "1.1"})
NO_CONTENT, NOT_MODIFIED = 204, 304
BODILESS = frozenset({NO_CONTENT, NOT_MODIFIED})
"""Statuses of answers without a body (RFC 9110, section 6.4.1)."""

Header = tuple[str, str, str]
"""A name in lower case, the name as it came, and the value, from which the same bytes can be made again."""
Pairs = Sequence[tuple[str, str]]


class HeadInvalid(ValueError):
    """A head with a line break, a NUL or a space where a receiver could read something else; nothing was sent."""


def header(name: bytes, value: bytes) -> Header:
    """Return a header that was read. White space around a value is no part of it (RFC 9112, section 5)."""
    text = name.decode("ascii")
    return text.lower(), text, value.decode("utf-8", "surrogateescape").rstrip(" \t")


def first(headers: Sequence[Header], name: str) -> str | None:
    """Return the value of the first header of that name, which is in lower case."""
    for each in headers:
        if each[0] == name:
            return each[2]
    return None


def is_chunked(codings: str) -> bool:
    """Tell whether what a Transfer-Encoding says is `chunked`; some signs beyond ASCII are lower-case letters of it."""
    return codings.isascii() and codings.lower() == "chunked"


def head(lines: list[str]) -> bytes:
    """Return the bytes of a head: its first line, and one line for each header. Raises HeadInvalid."""
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        raise HeadInvalid
    return f"{text}\r\n\r\n".encode("utf-8", "surrogateescape")


def chunk(piece: bytes) -> bytes:
    """Return a piece, which is not empty, as a chunk (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


LAST_CHUNK = b"0\r\n\r\n"
