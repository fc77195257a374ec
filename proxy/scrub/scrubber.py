"""Scrubbing: takes revealed values out of an answer again, in whatever form they come back.

Rules:
1. A card number is found whatever surrounds it: plain, grouped by any separators, with its digits escaped (JSON, C,
   percent, character references, full width), divided by markup, as hex and as base64.
2. A verification code is only three or four digits, which also occur in amounts and dates: it is found where `codes`
   says that digits could be one.
3. A value that is not made of digits is found as it is, or escaped.
4. What is found is replaced by its token, quoted where it stood as a bare JSON number. Bytes without a finding are
   returned as they are, the same object.
5. Text with a NUL between its characters (UTF-16) is found, but not replaced: who passes it on must withhold it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from proxy.rewrite.json import without_escaped_quotes
from proxy.rewrite.spans import Span, as_numbers, in_strings, merged, replaced
from proxy.rewrite.written import SEPARATORS, View, decoded, leaving_out
from proxy.scrub import codes
from proxy.scrub.needles import hexadecimal, in_base64, occurrences
from vault.exposure import expose
from vault.sensitive import Sensitive

_LONG = 9  # digits from which a value cannot be part of ordinary numbers by chance
_SEPARATORS = leaving_out("".join(char for char in SEPARATORS if ord(char) < 0x100).encode("latin-1"))
_SPACES = leaving_out(b" \t\r\n")
_MARKUP = re.compile(rb"<[^<>]{0,200}+>")
_json_start = re.compile(rb"\s*+[\[{]").match
_BASE64_OF_DIGITS = re.compile(rb"[MNO][DTjz][AEIMQUYcgk][w-z0-5][MNO][DTjz][AEIMQUYcgk][w-z0-5]")


@dataclass(frozen=True, slots=True)
class Secret:
    """A revealed value and the token that stands for it."""

    value: Sensitive
    token: str


class Scrubber:
    """Takes one request's revealed values out of its answer."""

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._codes: dict[bytes, bytes] = {}
        self._digits: dict[bytes, bytes] = {}
        self._base64: dict[bytes, bytes] = {}
        self._texts: dict[bytes, bytes] = {}
        self._secrets = [(secret, self._add(expose(secret.value), secret.token.encode())) for secret in secrets]

    def _add(self, text: str, token: bytes) -> bytes:
        """Remember the value, unless it is known; return its token."""
        if not (text.isascii() and text.isdigit()):
            return self._texts.setdefault(text.encode(), token)
        if len(text) < _LONG:
            return self._codes.setdefault(text.encode(), token)
        token = self._digits.setdefault(text.encode(), token)
        self._digits.setdefault(hexadecimal(text), token)
        for form in in_base64(text):
            self._base64.setdefault(form, token)
        return token

    def found_in(self, data: bytes) -> bool:
        """Tell whether a revealed value is in the bytes, as text or as JSON."""
        return next(self._tokens(data), None) is not None

    def not_in(self, data: bytes) -> list[Secret]:
        """Return the values that are not in the bytes, by one search for all."""
        found = set(self._tokens(data))
        return [secret for secret, token in self._secrets if token not in found]

    def clean(self, data: bytes, *, is_json: bool = False) -> bytes:
        """Return the bytes with every revealed value replaced by its token."""
        readings = _readings(data)
        begins = _json_start(data) is not None  # gateways do not always say that it is JSON, nor the truth
        if not is_json and not begins:
            return replaced(data, merged([*self._long(readings), *self._short(readings)]))
        quotes = without_escaped_quotes(data)
        long = as_numbers(merged(self._long(readings, quotes)), quotes)
        short: Iterable[Span] = merged(self._short(readings))
        if is_json and begins:
            short = (span for span, inside in in_strings(short, quotes) if inside)
        return replaced(data, merged([*long, *self._numbers(quotes), *as_numbers(short, quotes)]))

    def clean_text(self, text: str) -> str:
        """The same for a header value."""
        return self.clean(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _tokens(self, data: bytes) -> Iterator[bytes]:
        """The tokens of what is in the data, as text or as JSON, with or without a NUL between characters."""
        for each in [data, data.replace(b"\0", b"")] if b"\0" in data else [data]:
            readings = _readings(each)
            numbers = self._numbers(without_escaped_quotes(each))
            for _, _, token in chain(self._long(readings), self._short(readings), numbers):
                yield token.strip(b'"')

    def _long(self, readings: Sequence[bytes], quotes: bytes = b"") -> Iterator[Span]:
        """Card numbers and texts; where `quotes` are given, markup goes over none of them."""
        for padded in readings:
            yield from _found(self._texts, padded)
            if self._digits:
                yield from _found(self._digits, padded, out=_SEPARATORS)
        if self._digits:
            joined = _MARKUP.sub(
                lambda tag: tag[0] if quotes.find(b'"', *tag.span()) >= 0 else b" " * len(tag[0]), readings[-1]
            )
            if joined != readings[-1]:
                yield from _found(self._digits, joined, out=_SEPARATORS)
            yield from _found(self._base64, readings[-1], out=_SPACES, only_if=_BASE64_OF_DIGITS)

    def _short(self, readings: Sequence[bytes]) -> Iterator[Span]:
        """Codes in text."""
        if not self._codes:
            return
        for padded in readings:
            view = View(padded)
            for start, end in codes.in_text(view.text):
                token = self._codes.get(view.text[start:end])
                if token is not None:
                    yield *view.place(start, end), token

    def _numbers(self, quotes: bytes) -> Iterator[Span]:
        """Codes that are JSON numbers."""
        if any(code in quotes for code in self._codes):
            for start, end, digits in codes.in_json(quotes):
                if digits in self._codes:
                    yield start, end, b'"%s"' % self._codes[digits]


def _readings(data: bytes) -> list[bytes]:
    """The data as it is, and decoded: `%42` is a `B`, or a percent sign before 42. A NUL is no padding here."""
    raw = data.replace(b"\0", b"\1")
    plain = decoded(raw)
    return [raw] if plain == raw else [raw, plain]


def _found(
    needles: Mapping[bytes, bytes], padded: bytes, out: bytes | None = None, only_if: re.Pattern[bytes] | None = None
) -> Iterator[Span]:
    if not needles:
        return
    view = View(padded, out)
    if only_if is None or only_if.search(view.text):
        for start, end, token in occurrences(view.text, needles):
            yield *view.place(start, end), token
