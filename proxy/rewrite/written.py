"""Characters that are written in other ways than as their ASCII byte, and views of a body in which they are not.

Rules:
1. `decoded` understands JSON and C escapes, percent-encoding, character references (each of these more than once, too)
   and UTF-8, for ASCII, full-width digits and separators. What a character means is followed by padding, so that the
   result is as long as what was written and every find has a place in the original.
2. A View leaves out bytes for searching and says where a find stood.
3. Work is linear. Nothing is remembered of a body but, during one call, how its characters were written.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate

# What people, SDKs and pages put between digits. It covers what the vault takes in a card number.
SEPARATORS = (
    " \t\n\r\v\f-.,/+_\u00a0\u00ad\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c"
    "\u200d\u200e\u200f\u2010\u2011\u2012\u2013\u2014\u2015\u2028\u2029\u202f\u205f\u2060\u2212\u3000\ufeff\uff0d"
)
# Full-width, Arabic-Indic, Persian and Devanagari: Python and others read them as numbers.
WIDE_DIGITS = {chr(zero + number): str(number) for zero in (0xFF10, 0x0660, 0x06F0, 0x0966) for number in range(10)}

_PAD = b"\0"
_BACKSLASH, _PERCENT_SIGN, _AMPERSAND, _SEMICOLON = b"\\%&;"
_OTHER = b"\x80"  # a character that is none of those
_BLOCK = 64
_BYTES = b"|".join(re.escape(char.encode()) for char in [*SEPARATORS, *WIDE_DIGITS] if not char.isascii())
_PERCENT = rb"%(?:25){0,4}"
_REFERENCE = rb"&(?:amp;){0,4}(?:#0*+[0-9]{1,7}|#[xX]0*+[0-9A-Fa-f]{1,6}|[A-Za-z]{2,24});"
_WRITTEN = re.compile(
    rb"\\(?<!\\\\)\\*+(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[bfnrtv/])"
    rb"|" + _PERCENT + rb"(?:[0-7][0-9A-Fa-f]|[89A-Fa-f][0-9A-Fa-f](?:" + _PERCENT + rb"[89ABab][0-9A-Fa-f]){0,2})"
    rb"|" + _REFERENCE + rb"|" + _BYTES
)  # fmt: skip
_reference = re.compile(_REFERENCE).search
_percent_bytes = re.compile(_PERCENT + rb"([0-9A-Fa-f]{2})").findall
_CONTROLS = {"b": " ", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "/": "/"}


def is_plain(data: bytes) -> bool:
    """Tell whether nothing in the bytes can be written in another way: they are what `decoded` would make of them."""
    # Looking for a byte by its number takes a tenth of the time.
    if not data.isascii() or _BACKSLASH in data or _PERCENT_SIGN in data or 0 in data:
        return False
    # Nearly all that is `&` in a form ends in no `;`.
    return _AMPERSAND not in data or _SEMICOLON not in data or _reference(data) is None


def decoded(data: bytes) -> bytes:
    """Return as many bytes, in which what is written in another way is its ASCII byte and padding."""
    known: dict[bytes, bytes] = {}

    def replace(match: re.Match[bytes]) -> bytes:
        written = match[0]
        meant = known.get(written)
        if meant is None:
            meant = known[written] = _plain(_read(written)).ljust(len(written), _PAD)
        return meant

    return _WRITTEN.sub(replace, data)


def _read(written: bytes) -> str:
    if written.startswith(b"\\"):
        name = written.lstrip(b"\\").decode()
        return _CONTROLS.get(name) or chr(int(name[1:], 16))
    if written.startswith(b"&"):
        return html.unescape(written.replace(b"amp;", b"").decode())
    if written.startswith(b"%"):
        written = bytes.fromhex(b"".join(_percent_bytes(written)).decode())
    try:
        return written.decode()
    except UnicodeDecodeError:
        return written.decode("latin-1")


def _plain(text: str) -> bytes:
    if text in WIDE_DIGITS:
        return WIDE_DIGITS[text].encode()
    if len(text) == 1 and text.isascii():
        return text.encode()
    return b" " if all(char in SEPARATORS for char in text) else _OTHER


class View:
    """Bytes without padding and without those that `out` makes padding; `place` finds them again."""

    def __init__(self, padded: bytes, out: bytes | None = None) -> None:
        self._characters = padded
        self._padded = padded.translate(out)
        self.text = self._padded.translate(None, _PAD)

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters from `start` to `end` of the text stand, each as long as it was written."""
        last = self._position(end - 1) + 1
        while self._characters[last : last + 1] == _PAD:
            last += 1
        return self._position(start), last

    @cached_property
    def _before(self) -> list[int]:
        """How many bytes of the text stand before each block."""
        padded = self._padded
        blocks = (padded[at : at + _BLOCK] for at in range(0, len(padded), _BLOCK))
        return list(accumulate((len(block) - block.count(_PAD) for block in blocks), initial=0))

    def _position(self, index: int) -> int:
        if len(self.text) == len(self._padded):
            return index
        block = bisect_right(self._before, index) - 1
        left = index - self._before[block]
        at = block * _BLOCK
        while left or not self._padded[at]:
            left -= self._padded[at] != 0
            at += 1
        return at


def leaving_out(characters: bytes) -> bytes:
    """Return the table that makes a View leave these bytes out."""
    return bytes.maketrans(characters, _PAD * len(characters))
