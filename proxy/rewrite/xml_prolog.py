"""What stands before the root element of an XML document: its encoding, and that there is no DOCTYPE."""

from __future__ import annotations

import re

from proxy.rewrite.errors import DtdRefused

_before_root = re.compile(rb"[ \t\r\n]++|<!--.*?-->|<\?.*?\?>", re.DOTALL).match
_BOM = b"\xef\xbb\xbf"
_HEAD = 512
_SPACES = r"[ \t\r\n]"
_encoding = re.compile(
    rf"""<\?xml{_SPACES}[^<>]{{0,200}}?encoding{_SPACES}*={_SPACES}*["']([A-Za-z0-9._-]{{1,40}})["']"""
).match


def declared_encoding(body: bytes) -> str | None:
    """Return the encoding that a declaration at the very start names, in lower case; it may be in UTF-16 itself."""
    head = body[:_HEAD]
    if head.startswith((b"\xff\xfe", b"<\0")):
        text = head.decode("utf-16-le", "replace")
    elif head.startswith((b"\xfe\xff", b"\0<")):
        text = head.decode("utf-16-be", "replace")
    else:
        text = head.removeprefix(_BOM).decode("latin-1")
    found = _encoding(text.removeprefix("\ufeff"))
    return found[1].lower() if found else None


def refuse_dtd(body: bytes) -> None:
    """Raise DtdRefused if there is a DOCTYPE. What is not well-formed here is left to the parser."""
    at = len(_BOM) if body.startswith(_BOM) else 0
    while found := _before_root(body, at):
        at = found.end()
    if body.startswith(b"<!DOCTYPE", at):
        raise DtdRefused(offset=at)
