"""Text in XML: the part of an element's content that is its value, and how a value is written in its place.

Rules:
1. White space that is written literally at either end stays outside, in CDATA sections, too. Comments and
   processing instructions stay outside unless text stands on both sides.
2. A span may begin or end inside a CDATA section; what replaces it closes and opens sections as needed.
3. expat says what the bytes mean: the span is read once more, by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple
from xml.parsers import expat

_SPACE = b" \t\r\n"
_token = re.compile(rb"<!\[CDATA\[(.*?)\]\]>|<!--.*?-->|<\?.*?\?>|([^<]++)", re.DOTALL).match
_not_xml = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").search
_ENDS = re.compile(r"\A[ \t\n]+|[ \t\n]+\Z")
_OPEN, _CLOSE = b"<![CDATA[", b"]]>"
_IN_TEXT = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\r"): "&#13;"}
_IN_ATTRIBUTE = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"} | {
    ord(each): f"&#{ord(each)};" for each in "\t\n\r"
}
_QUOTES = {'"': {ord('"'): "&quot;"}, "'": {ord("'"): "&apos;"}}


class Span(NamedTuple):
    """Text: from where to where it stands, what it is, and how another is written in its place."""

    start: int
    end: int
    value: str
    write: Callable[[str], bytes]


def unwritable(text: str) -> bool:
    """Whether `text` holds a character that XML 1.0 has no way to write (section 2.2)."""
    return _not_xml(text) is not None


def in_attribute(quote: str, text: str) -> bytes:
    """Return `text` as it stands between such quotes."""
    return text.translate(_IN_ATTRIBUTE | _QUOTES[quote]).encode()


def content(body: bytes, start: int, end: int) -> Span | None:
    """Return the text in an element's content, or None if there is none.

    The content is well-formed and holds no elements.
    """
    first = last = None
    for each in _texts(body, start, end):
        if body[each[0] : each[1]].strip(_SPACE):
            first, last = first or each, each
    if first is None or last is None:
        return None
    opened, closed = first[2], last[2]
    start = first[1] - len(body[first[0] : first[1]].lstrip(_SPACE))
    end = last[0] + len(body[last[0] : last[1]].rstrip(_SPACE))
    value = _read(_OPEN * opened + body[start:end] + _CLOSE * closed)
    if opened and first == last:
        return Span(start, end, value, _in_section)
    return Span(start, end, value, partial(_in_text, _CLOSE * opened, _OPEN * closed))


def _texts(body: bytes, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """The pieces of text in some content, each with whether it is a CDATA section's."""
    while start < end and (token := _token(body, start, end)):
        if token.lastindex:
            yield *token.span(token.lastindex), token.lastindex == 1
        start = token.end()


def _in_text(before: bytes, after: bytes, text: str) -> bytes:
    """Return `text` escaped; white space at its ends as references, so that it is not taken for indentation."""
    ends = _ENDS.sub(lambda spaces: "".join(f"\0{ord(each)};" for each in spaces[0]), text)
    return before + ends.translate(_IN_TEXT).replace("\0", "&#").encode() + after


def _in_section(text: str) -> bytes:
    """Return `text` as it stands in a CDATA section, which knows no references."""
    if "\r" in text or text != text.strip(" \t\n"):
        return _in_text(_CLOSE, _OPEN, text)
    return text.replace("]]>", "]]]]><![CDATA[>").encode()


def _read(raw: bytes) -> str:
    """Return what content means."""
    if not any(each in raw for each in (b"<", b"&", b"\r")):
        return raw.decode()
    pieces: list[str] = []
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.CharacterDataHandler = pieces.append
    parser.Parse(b"<t>" + raw + b"</t>", True)
    return "".join(pieces)
