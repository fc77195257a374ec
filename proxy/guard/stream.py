"""Scanning a stream: what is passed on has been searched, and little of it is held.

A plain stream is passed on up to the last byte that cannot belong to a number; what follows waits for the next piece. A
compressed one is inflated beside what is passed on: a piece of it waits as long as some of what came out of it does.
"""

from __future__ import annotations

import re
import string
import zlib
from collections import deque
from collections.abc import Callable, Iterator

from proxy.guard.numbers import MIN_DIGITS
from proxy.guard.search import search

# More than the longest way of writing a card number takes: 19 digits and their separators, all escaped.
WINDOW = 1024
_MAX_INFLATED = 256 * 1024
_MAX_HELD = 1024 * 1024  # compressed bytes, out of which less than WINDOW comes
_HEADER = 2


# Bytes that may belong to a number: digits, separators, letters of hashes and escapes (&nbsp;), and what is not ASCII.
_OF_NUMBERS = string.ascii_letters.encode() + b"0123456789 ._/+\\%&#;-\0" + bytes(range(0x80, 0x100))
_digit_or_escape = re.compile(rb"[0-9\\%&\x80-\xff]").search


class NotInflatable(Exception):
    """A compressed stream is not one, or was cut off."""


class StreamSearch:
    """Looks for card numbers in a stream of plain bytes, piece by piece."""

    def __init__(self) -> None:
        self._before = b""
        self._held = b""

    @property
    def holds(self) -> int:
        """How many bytes wait."""
        return len(self._held)

    def feed(self, piece: bytes) -> tuple[bytes, bool]:
        """Take the next piece. Return what can be passed on, and whether a card number was found in what came."""
        data = self._held + piece
        passed = data[: max(0, len(data) - WINDOW) + _undecided(data[-WINDOW:])]
        found = self._search(data, goes_on=True)
        self._before = (self._before + passed)[-WINDOW:]
        self._held = data[len(passed) :]
        return passed, found

    def steps(self, piece: bytes) -> Iterator[tuple[bytes, bool]]:
        """The same in steps of limited work: this is one."""
        yield self.feed(piece)

    def end(self) -> tuple[bytes, bool]:
        """The same at the end of the stream."""
        return self._held, self._search(self._held, goes_on=False)

    def _search(self, data: bytes, *, goes_on: bool) -> bool:
        before = len(self._before)
        spans = search(self._before + data, since=before, begun=before == WINDOW, goes_on=goes_on)
        return next(spans, None) is not None


def _undecided(end: bytes) -> int:
    """Return from where on a text can belong to a number that goes on."""
    first = _digit_or_escape(end, len(end.rstrip(_OF_NUMBERS)))
    return first.start() if first else len(end)


class InflatingSearch:
    """The same for a compressed stream. `window_bits` tells from its first two bytes what zlib needs to know."""

    def __init__(self, window_bits: Callable[[bytes], int]) -> None:
        self._plain = StreamSearch()
        self._window_bits = window_bits
        self._first = b""
        self._inflater = zlib.decompressobj()
        self._inflated = 0
        self._held: deque[tuple[bytes, int]] = deque()
        self._size = 0

    def feed(self, piece: bytes) -> tuple[bytes, bool]:
        """As above; raises NotInflatable for what cannot be inflated."""
        steps = list(self.steps(piece))
        return b"".join(passed for passed, _ in steps), any(found for _, found in steps)

    def steps(self, piece: bytes) -> Iterator[tuple[bytes, bool]]:
        """The same in steps of limited work: a small piece may inflate to a thousand times as much."""
        for plain in self._inflate(piece):
            self._inflated += len(plain)
            yield b"", self._plain.feed(plain)[1]
        self._held.append((piece, self._inflated))
        self._size += len(piece)
        passed = b"".join(self._decided())
        self._size -= len(passed)
        if self._size > _MAX_HELD:
            raise NotInflatable
        yield passed, False

    def end(self) -> tuple[bytes, bool]:
        """As above; raises NotInflatable if the stream was cut off."""
        if self._first and not self._inflater.eof:
            raise NotInflatable
        return b"".join(piece for piece, _ in self._held), self._plain.end()[1]

    def _decided(self) -> Iterator[bytes]:
        """Take the pieces that can be passed on. Less than a card number's digits may wait in what is."""
        waiting = self._plain.holds if self._plain.holds >= MIN_DIGITS else 0
        while self._held and self._held[0][1] <= self._inflated - waiting:
            yield self._held.popleft()[0]

    def _inflate(self, piece: bytes) -> Iterator[bytes]:
        if len(self._first) < _HEADER:
            self._first += piece
            if len(self._first) < _HEADER:
                return
            piece = self._first
            self._inflater = zlib.decompressobj(self._window_bits(piece))
        more = bool(piece)
        while more:
            if self._inflater.eof:
                self._inflater = zlib.decompressobj(self._window_bits(self._first))
            plain = self._decompress(piece)
            yield plain
            piece = self._inflater.unconsumed_tail or self._inflater.unused_data
            more = bool(piece) or (len(plain) == _MAX_INFLATED and not self._inflater.eof)

    def _decompress(self, piece: bytes) -> bytes:
        try:
            return self._inflater.decompress(piece, _MAX_INFLATED)
        except zlib.error:
            pass
        raise NotInflatable
