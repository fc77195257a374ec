"""Charsets of bodies: scanners read UTF-8, so a body in another charset is converted and converted back.

Only charsets without state are supported: in them the bytes outside the replaced values come back as they were, which
is checked before anything is replaced. Names are those of the IANA registry.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from types import MappingProxyType

from proxy.errors import CharsetUnsupported
from proxy.rewrite.errors import BodyUnreadable, ValueNotText

UTF8 = "utf-8"
BOM = "\ufeff".encode()
_CODECS: Mapping[str, str] = MappingProxyType(
    {
        "utf-8": UTF8,
        "utf8": UTF8,
        "us-ascii": UTF8,
        "ascii": UTF8,
        "iso-8859-1": "iso-8859-1",
        "latin1": "iso-8859-1",
        "iso-8859-15": "iso-8859-15",
        "windows-1252": "windows-1252",
        "windows-1251": "windows-1251",
        "utf-16le": "utf-16-le",
        "utf-16be": "utf-16-be",
        "utf-16": "utf-16",
    }
)


def codec(charset: str | None, body: bytes) -> str:
    """Return the codec for a charset as a Content-Type names it; raises CharsetUnsupported."""
    if charset is None:
        return UTF8
    name = _CODECS.get(charset.lower())
    if name == "utf-16":  # then the body has to say which: a guess would be one
        name = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}.get(body[:2])
    if name is None:
        raise CharsetUnsupported
    return name


def to_utf8(body: bytes, name: str) -> bytes:
    """Return a body as UTF-8; raises BodyUnreadable if it could not be converted back as it was."""
    if name == UTF8:
        return body
    try:
        text = body.decode(name)
        if text.encode(name) == body:
            return text.encode()
        offset = 0
    except UnicodeDecodeError as error:
        offset = error.start
    except UnicodeEncodeError:
        offset = 0
    raise BodyUnreadable(offset=offset)


def from_utf8(body: bytes, name: str, selector: str) -> bytes:
    """Convert back; raises ValueNotText if a new value cannot be written in the charset."""
    if name == UTF8:
        return body
    try:
        return body.decode().encode(name)
    except UnicodeEncodeError:
        pass
    raise ValueNotText(selector=selector, offset=0)
