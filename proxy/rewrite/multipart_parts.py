"""The frame of multipart bodies (RFC 2046 section 5.1): where parts begin and end, and their header fields.

Rules:
1. The boundary stands nowhere but in delimiters: CRLF, two dashes, the boundary, spaces, CRLF; the first may begin
   the body, the last has two more dashes behind. Before and after them is white space alone.
2. Lines end with CRLF, there and in header fields. Fields are not folded and do not repeat.
3. Everything else is refused: receivers divide it in different ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from proxy.rewrite.errors import BodyAmbiguous, BodyUnreadable, TooManyFields

MAX_PARTS = 10_000
"""Parts of one body."""
MAX_HEADER = 8 * 1024
"""Bytes of a part's header fields."""

_BLANK = b" \t\r\n"
_rest_of_line = re.compile(rb"[ \t]*+\r\n").match
_rest_of_body = re.compile(rb"[ \t]*+(?:\r\n|\Z)").match
_field = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)").fullmatch


class Part(NamedTuple):
    """One part: its header fields, names in lower case, where they begin, and where its content stands."""

    fields: Mapping[str, str]
    offset: int
    start: int
    end: int


def split(body: bytes, boundary: bytes) -> Iterator[Part]:
    """Yield the parts. Raises BodyUnreadable, BodyAmbiguous, TooManyFields."""
    delimiter = b"--" + boundary
    at = _find(body, delimiter, 0)
    _check_blank(body, 0, at)
    for _ in range(MAX_PARTS + 1):
        if at and body[at - 2 : at] != b"\r\n":
            raise BodyAmbiguous(offset=at)
        behind = at + len(delimiter)
        if body.startswith(b"--", behind):
            if not _rest_of_body(body, behind + 2):
                raise BodyAmbiguous(offset=at)
            _check_blank(body, behind + 2, len(body))
            return
        line = _rest_of_line(body, behind)
        if line is None:
            raise BodyAmbiguous(offset=at)
        at = _find(body, delimiter, line.end())
        yield _part(body, line.end(), at - 2)
    raise TooManyFields(limit=MAX_PARTS)


def _find(body: bytes, delimiter: bytes, start: int) -> int:
    at = body.find(delimiter, start)
    if at < 0:
        raise BodyUnreadable(offset=len(body))
    return at


def _check_blank(body: bytes, start: int, end: int) -> None:
    text = body[start:end]
    if text.strip(_BLANK) or any(each in text.replace(b"\r\n", b"") for each in (b"\r", b"\n")):
        raise BodyAmbiguous(offset=start)


def _part(body: bytes, start: int, end: int) -> Part:
    last = body.find(b"\r\n\r\n", start, min(end, start + MAX_HEADER + 4))
    if last < 0:
        raise BodyUnreadable(offset=start)
    fields: dict[str, str] = {}
    for line in body[start:last].split(b"\r\n"):
        match = _field(line)
        if match is None:
            raise BodyAmbiguous(offset=start)
        name = match[1].decode().lower()
        if name in fields:
            raise BodyAmbiguous(offset=start)
        fields[name] = _text(match[2], start)
    return Part(fields, start, last + 4, end)


def _text(raw: bytes, offset: int) -> str:
    try:
        return raw.decode().rstrip(" \t")
    except UnicodeDecodeError:
        pass
    raise BodyUnreadable(offset=offset)
