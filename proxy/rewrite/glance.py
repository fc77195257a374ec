"""A glance at bytes: nearly all of them hold no card number, in whatever form, and one look says so. Pure.

It may take for a card number what is none, never the other way round: all that anybody leaves out between digits is
left out here.
"""

from __future__ import annotations

import re

from proxy.rewrite.written import SEPARATORS, is_plain

FEWEST = 12
"""Digits of a card number (ISO/IEC 7812)."""
DIGITS, TO_DIGITS = b"0" * FEWEST, bytes.maketrans(b"123456789", b"0" * 9)
"""What digits of a card number are, and how: translated so, without what may stand between them."""
_GAPS = bytes({*"".join(char for char in SEPARATORS if char.isascii()).encode(), *b" \t\r\n\v\f.,/+_:=@()-"})
_SPACES = b" \t\r\n"
# Of twelve digits at least fifteen characters share no bits with their neighbours.
_OF_DIGITS = b"MNODTjzAEIMQUYcgkwxyz012345"
_IN_BASE64, _TO_BASE64 = b"0" * 15, bytes.maketrans(_OF_DIGITS, b"0" * len(_OF_DIGITS))
_LESS = ord("<")
BASE64_OF_DIGITS = re.compile(rb"[MNO][DTjz][AEIMQUYcgk][w-z0-5][MNO][DTjz][AEIMQUYcgk][w-z0-5]")
"""How base64 writes six digits, at one of its three alignments."""


def may_hold_number(data: bytes) -> bool:
    """Tell whether a card number may be in the bytes: plain, escaped, divided by signs or markup, as hex or base64."""
    if not is_plain(data) or _LESS in data:
        return True
    if data.translate(TO_DIGITS, _GAPS).find(DIGITS) >= 0:  # hex of digits is digits
        return True
    if data.translate(_TO_BASE64, _SPACES).find(_IN_BASE64) < 0:  # a pattern takes ten times as long
        return False
    return BASE64_OF_DIGITS.search(data.translate(None, _SPACES)) is not None
