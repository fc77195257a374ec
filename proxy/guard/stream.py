"""Scanning a stream: what is passed on has been searched, and little of it is held.

A plain stream is passed on up to the last byte that cannot belong to a number; what follows waits for the next piece. A
compressed one is inflated beside what is passed on, and its last piece waits.
"""

from __future__ import annotations

import zlib

from proxy.guard.search import search

# More than the longest way of writing a card number takes: 19 digits and their separators, all escaped.
WINDOW = 1024
_MAX_INFLATED = 256 * 1024
# Bytes of which numbers are written: digits, separators, escapes, and what is not ASCII.
_OF_NUMBERS = b"0123456789ABCDEFabcdefuUxX ._/\\%&#;-\0" + bytes(range(0x80, 0x100))


class NotInflatable(Exception):
    """A compressed stream is not one, or was cut off."""


class StreamSearch:
    """Looks for card numbers in a stream of plain bytes, piece by piece."""

    def __init__(self) -> None:
        self._before = b""
        self._held = b""

    def feed(self, piece: bytes) -> tuple[bytes, bool]:
        """Take the next piece. Return what can be passed on, and whether a card number was found in what came."""
        data = self._held + piece
        passed = data[: max(len(data.rstrip(_OF_NUMBERS)), len(data) - WINDOW)]
        found = self._search(data, goes_on=True)
        self._before = (self._before + passed)[-WINDOW:]
        self._held = data[len(passed) :]
        return passed, found

    def end(self) -> tuple[bytes, bool]:
        """The same at the end of the stream."""
        return self._held, self._search(self._held, goes_on=False)

    def _search(self, data: bytes, *, goes_on: bool) -> bool:
        window = self._before + data
        spans = search(window, begun=len(self._before) == WINDOW, goes_on=goes_on)
        return any(end > len(self._before) for _, end in spans)


class InflatingSearch:
    """The same for a stream that is compressed with gzip or deflate."""

    def __init__(self, window_bits: int) -> None:
        self._plain = StreamSearch()
        self._window_bits = window_bits
        self._inflater = zlib.decompressobj(window_bits)
        self._held = b""

    def feed(self, piece: bytes) -> tuple[bytes, bool]:
        """As above; raises NotInflatable for what cannot be inflated."""
        passed, self._held = self._held, piece
        found = False
        while piece:
            if self._inflater.eof:
                self._inflater = zlib.decompressobj(self._window_bits)
            found = self._plain.feed(self._inflate(piece))[1] or found
            piece = self._inflater.unconsumed_tail or self._inflater.unused_data
        return passed, found

    def end(self) -> tuple[bytes, bool]:
        """As above; raises NotInflatable if the stream was cut off."""
        if not self._inflater.eof and self._held:
            raise NotInflatable
        return self._held, self._plain.end()[1]

    def _inflate(self, piece: bytes) -> bytes:
        try:
            return self._inflater.decompress(piece, _MAX_INFLATED)
        except zlib.error:
            pass
        raise NotInflatable
