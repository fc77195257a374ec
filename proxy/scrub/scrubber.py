"""Scrubbing: takes revealed values out of an answer again, in whatever form they come back.

Rules:
1. A card number is found whatever surrounds it: plain, grouped by any separators, with its digits escaped (JSON, C,
   percent, character references, full width), divided by markup, as hex and as base64.
2. A verification code is only three or four digits, which also occur in amounts and dates: it is found where `codes`
   says that digits could be one.
3. A value that is not made of digits is found as it is, or escaped.
4. What is found is replaced by its token, quoted where it stood as a bare JSON number. Bytes without a finding are
   returned as they are, the same object.
5. Nearly all answers hold nothing: whether the values are in one at all, in some form, is looked at first.
6. Text with a NUL between its characters (UTF-16) is found, but not replaced: who passes it on must withhold it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain

from proxy.rewrite.glance import BASE64_OF_DIGITS, FEWEST, may_hold_number
from proxy.rewrite.json import without_escaped_quotes
from proxy.rewrite.spans import Span, as_numbers, in_strings, merged, replaced
from proxy.rewrite.written import SEPARATORS, View, decoded, is_plain, leaving_out
from proxy.scrub import codes
from proxy.scrub.needles import hexadecimal, in_base64, occurrences
from vault.exposure import expose
from vault.frozen import frozen
from vault.sensitive import Sensitive

_LONG = 9  # digits from which a value cannot be part of ordinary numbers by chance
_PAD, _LESS = b"\0", ord("<")
_BETWEEN_DIGITS = "".join(char for char in SEPARATORS if ord(char) < 0x100).encode("latin-1")
_BETWEEN_BASE64 = b" \t\r\n"
_SEPARATORS, _SPACES = leaving_out(_BETWEEN_DIGITS), leaving_out(_BETWEEN_BASE64)
_MARKUP = re.compile(rb"<[^<>]{0,200}+>")
_json_start = re.compile(rb"\s*+[\[{]").match


@frozen(eq=False)
class Secret:
    """A revealed value and the token that stands for it."""

    value: Sensitive
    token: str


def may_hold(data: bytes, secrets: Sequence[Secret]) -> bool:
    """Tell by one look whether a value may be in the bytes, be they one text or the lines of several."""
    if may_hold_number(data):
        return True
    for secret in secrets:
        text = expose(secret.value)
        if text.isascii() and text.isdigit() and len(text) >= _LONG:
            if len(text) < FEWEST:  # the look was for longer ones
                return True
        elif data.find(text.encode()) >= 0:
            return True
    return False


class Scrubber:
    """Takes one request's revealed values out of its answer."""

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._codes: dict[bytes, bytes] = {}
        self._cards: dict[str, bytes] = {}
        self._texts: dict[bytes, bytes] = {}
        self._secrets = [(secret, self._add(expose(secret.value), secret.token.encode())) for secret in secrets]
        self._as_they_are = (*self._texts, *self._codes)

    def _add(self, text: str, token: bytes) -> bytes:
        """Remember the value, unless it is known; return its token."""
        if not (text.isascii() and text.isdigit()):
            return self._texts.setdefault(text.encode(), token)
        if len(text) < _LONG:
            return self._codes.setdefault(text.encode(), token)
        return self._cards.setdefault(text, token)

    @cached_property
    def _digits(self) -> Mapping[bytes, bytes]:
        """Card numbers, plain and as hex, which answers seldom are worth searching for, either."""
        forms = {text.encode(): token for text, token in self._cards.items()}
        for text, token in self._cards.items():
            forms.setdefault(hexadecimal(text), token)
        return forms

    @cached_property
    def _base64(self) -> Mapping[bytes, bytes]:
        """The forms of card numbers in base64, which answers seldom are worth searching for."""
        forms: dict[bytes, bytes] = {}
        for text, token in self._cards.items():
            for form in in_base64(text):
                forms.setdefault(form, token)
        return forms

    def found_in(self, data: bytes) -> bool:
        """Tell whether a revealed value is in the bytes, as text or as JSON."""
        return (0 in data or self._may_be_in(_readings(data))) and next(self._tokens(data), None) is not None

    def not_in(self, data: bytes) -> list[Secret]:
        """Return the values that are not in the bytes, by one search for all."""
        found = set(self._tokens(data))
        return [secret for secret, token in self._secrets if token not in found]

    def clean(self, data: bytes, *, is_json: bool = False) -> bytes:
        """Return the bytes with every revealed value replaced by its token."""
        readings = _readings(data)
        if not self._may_be_in(readings):
            return data
        begins = _json_start(data) is not None  # gateways do not always say that it is JSON, nor the truth
        if not is_json and not begins:
            return replaced(data, merged([*self._long(readings), *self._short(readings)]))
        quotes = without_escaped_quotes(data)
        long = as_numbers(merged(self._long(readings, quotes)), quotes)
        short: Iterable[Span] = merged(self._short(readings))
        if is_json and begins:
            short = (span for span, inside in in_strings(short, quotes) if inside)
        return replaced(data, merged([*long, *self._numbers(quotes), *as_numbers(short, quotes)]))

    def clean_texts(self, texts: Sequence[str]) -> Sequence[str]:
        """The same for the values of headers, by one look at all of them."""
        if not self._may_be_in(_readings("\n".join(texts).encode("utf-8", "surrogateescape"))):
            return texts
        return [self.clean_text(text) for text in texts]

    def clean_text(self, text: str) -> str:
        """The same for the value of one."""
        data = text.encode("utf-8", "surrogateescape")
        cleaned = self.clean(data)
        return text if cleaned is data else cleaned.decode("utf-8", "surrogateescape")

    def _may_be_in(self, readings: Sequence[bytes]) -> bool:
        """Tell whether a value is in the data, in any of its forms, whatever is around it; without saying where."""
        text = b""
        for padded in readings:
            text = padded.translate(None, _PAD) if 0 in padded else padded
            for needle in self._as_they_are:
                if text.find(needle) >= 0:  # `in` takes twice the time
                    return True
            if self._cards and self._digits_in(text):
                return True
        if not self._cards:
            return False
        if _LESS in text and self._digits_in(_MARKUP.sub(b"", text)):
            return True
        return BASE64_OF_DIGITS.search(text.translate(None, _BETWEEN_BASE64)) is not None

    def _digits_in(self, text: bytes) -> bool:
        together = text.translate(None, _BETWEEN_DIGITS)
        for digits in self._digits:  # noqa: SIM110  # a generator would cost more than the search
            if together.find(digits) >= 0:
                return True
        return False

    def _tokens(self, data: bytes) -> Iterator[bytes]:
        """The tokens of what is in the data, as text or as JSON, with or without a NUL between characters."""
        for each in [data, data.replace(_PAD, b"")] if 0 in data else [data]:
            readings = _readings(each)
            if not self._may_be_in(readings):  # nearly always
                continue
            numbers = self._numbers(without_escaped_quotes(each))
            for _, _, token in chain(self._long(readings), self._short(readings), numbers):
                yield token.strip(b'"')

    def _long(self, readings: Sequence[bytes], quotes: bytes = b"") -> Iterator[Span]:
        """Card numbers and texts; where `quotes` are given, markup goes over none of them."""
        for padded in readings:
            yield from _found(self._texts, padded)
            if self._cards:
                yield from _found(self._digits, padded, out=_SEPARATORS)
        if self._cards:
            joined = _MARKUP.sub(
                lambda tag: tag[0] if quotes.find(b'"', *tag.span()) >= 0 else b" " * len(tag[0]), readings[-1]
            )
            if joined != readings[-1]:
                yield from _found(self._digits, joined, out=_SEPARATORS)
            yield from _found(self._base64, readings[-1], out=_SPACES, only_if=BASE64_OF_DIGITS)

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
    if is_plain(data):
        return [data]
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
