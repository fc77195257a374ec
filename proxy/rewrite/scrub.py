"""Scrubbing: takes revealed values out of an answer again, in whatever form they come back.

Rules:
1. A card number is found whatever surrounds it: plain, grouped, with its digits escaped (JSON, percent, character
   references, full width), as hex and as base64.
2. A verification code is only three or four digits, which also occur in amounts and dates: it is found where it stands
   alone in text, and as a JSON number under a name that speaks of a code.
3. What is found is replaced by its token, quoted where it stood as a bare JSON number. Bytes without a finding are
   returned as they are, the same object.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vault.exposure import expose
from vault.sensitive import Sensitive

_LONG = 9  # digits from which a value cannot be part of ordinary numbers by chance
_SEPARATOR = rb"(?:[ \-.+_]|%20|%2[dD]|\xc2\xa0|\\u00[aA]0|\\u2009|&nbsp;|&#160;){0,2}"
_CODE_NAME = re.compile(rb"cv|csc|cid|secur|verif|code", re.IGNORECASE)
_STRING = rb'"(?:[^"\\]|\\.)*"'
# Not part of a longer word or number, a decimal, a time, a date, or an id such as order-123.
_ALONE_BEFORE = rb"(?<![0-9A-Za-z_])(?<![0-9][.,:/])(?<![0-9A-Za-z_]-)"
_ALONE_AFTER = rb"(?![0-9A-Za-z_])(?![.,:/-][0-9])"


@dataclass(frozen=True, slots=True)
class Secret:
    """A revealed value and the token that stands for it."""

    value: Sensitive
    token: str


def _digit(char: str) -> bytes:
    number = int(char)
    forms = [
        rb"%d" % number,
        rb"\\u003%d" % number,
        rb"\\u[fF]{2}1%d" % number,
        rb"%%3%d" % number,
        rb"&#%d;" % (48 + number),
        rb"&#[xX]3%d;" % number,
        re.escape(chr(0xFF10 + number).encode()),
    ]
    return b"(?:" + b"|".join(forms) + b")"


def _encoded(text: str) -> list[bytes]:
    """Return how hex and base64 write it: each of the three alignments, without characters that neighbours share."""
    raw = text.encode()
    found = [raw.hex().encode(), raw.hex().upper().encode()]
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + raw)
        first = (shift * 8 + 5) // 6
        last = (shift + len(raw)) * 8 // 6
        found.append(whole[first:last])
    return [re.escape(form) for form in found]


def _pattern(text: str) -> bytes:
    if not (text.isascii() and text.isdigit()):
        return re.escape(text.encode())
    digits = list(map(_digit, text))
    if len(text) >= _LONG:
        return b"|".join([_SEPARATOR.join(digits), *_encoded(text)])
    return _ALONE_BEFORE + b"".join(digits) + _ALONE_AFTER


class Scrubber:
    """Takes one request's revealed values out of its answer."""

    def __init__(self, secrets: Sequence[Secret]) -> None:
        # Longest first, so that no value is found inside another one.
        ordered = sorted(((expose(each.value), each.token.encode()) for each in secrets), key=lambda s: -len(s[0]))
        self._tokens = [token for _, token in ordered]
        self._short = [len(text) < _LONG for text, _ in ordered]
        alternatives = b"|".join(b"(%s)" % _pattern(text) for text, _ in ordered)
        self._any = re.compile(alternatives)
        self._json = re.compile(b"(%s)|%s" % (_STRING, alternatives), re.DOTALL)

    def found_in(self, data: bytes) -> bool:
        """Tell whether a revealed value is in the bytes."""
        return self._any.search(data) is not None

    def clean(self, data: bytes, *, is_json: bool = False) -> bytes:
        """Return the bytes with every revealed value replaced by its token."""
        if not self.found_in(data):
            return data
        return self._json.sub(self._json_replacer(), data) if is_json else self._clean_text(data)

    def clean_text(self, text: str) -> str:
        """The same for a header value."""
        return self.clean(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _clean_text(self, data: bytes) -> bytes:
        return self._any.sub(lambda match: self._tokens[(match.lastindex or 1) - 1], data)

    def _json_replacer(self) -> Callable[[re.Match[bytes]], bytes]:
        name = b""

        def replace(match: re.Match[bytes]) -> bytes:
            nonlocal name
            if match.lastindex == 1:
                name = match[0]
                return self._clean_text(name)
            index = (match.lastindex or 2) - 2
            if self._short[index] and not _CODE_NAME.search(name):
                return match[0]
            return b'"' + self._tokens[index] + b'"'

        return replace
