"""What stands before the root element of an XML document: its encoding, and that there is no DOCTYPE."""

from __future__ import annotations

import re

from proxy.rewrite.errors import DtdRefused

_before_root = re.compile(rb"[ \t\r\n]++|<!--.*?-->|<\?.*?\?>", re.DOTALL).match
_BOM = b"\xef\xbb\xbf"
_HEAD = 512
_SPACES = r"[ \t\r\n]"
_declaration = re.compile(rf"<\?xml(?={_SPACES})([^<>]*)(>?)").match
_encoding = re.compile(rf"""encoding{_SPACES}*={_SPACES}*["']([A-Za-z0-9._-]+)["']""").search
_UNKNOWN = "?"


def declared_encoding(body: bytes) -> str | None:
    """Return the encoding that a declaration at the very start names, in lower case; it may be in UTF-16 itself.

    `?` where a receiver could find one that is not found here: the declaration is long, or the name is odd.
    """
    head = body[:_HEAD]
    if head.startswith((b"\xff\xfe", b"<\0")):
        text = head.decode("utf-16-le", "replace")
    elif head.startswith((b"\xfe\xff", b"\0<")):
        text = head.decode("utf-16-be", "replace")
    else:
        text = head.removeprefix(_BOM).decode("latin-1")
    declaration = _declaration(text.removeprefix("\ufeff"))
    if declaration is None:
        return None
    if not (declaration[1].endswith("?") and declaration[2]):
        return _UNKNOWN
    found = _encoding(declaration[1])
    if found is None:
        return _UNKNOWN if "encoding" in declaration[1] else None
    return found[1].lower()


def refuse_dtd(body: bytes) -> None:
    """Raise DtdRefused if there is a DOCTYPE. What is not well-formed here is left to the parser."""
    at = len(_BOM) if body.startswith(_BOM) else 0
    while found := _before_root(body, at):
        at = found.end()
    if body.startswith(b"<!DOCTYPE", at):
        raise DtdRefused(offset=at)
