"""The forms in which values are looked for, and all places of many of them in one text."""

from __future__ import annotations

import base64
import heapq
from collections.abc import Iterator, Mapping


def hexadecimal(digits: str) -> bytes:
    """How hex writes digits; that is digits alone, again."""
    return digits.encode().hex().encode()


def in_base64(digits: str) -> list[bytes]:
    """How base64 writes digits at each of the three alignments, without characters that neighbours share.

    Digits give no `+` and no `/`, so the alphabet for addresses writes them in the same way.
    """
    found = []
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + digits.encode())
        found.append(whole[(shift * 8 + 5) // 6 : (shift + len(digits)) * 8 // 6])
    return found


def occurrences(text: bytes, needles: Mapping[bytes, bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Where needles stand, each with what it maps to: leftmost first, then longest, none overlapping.

    No pattern is compiled: that would leave the values in the cache of `re`.
    """
    waiting = [(at, -len(needle), needle) for needle in needles if (at := text.find(needle)) >= 0]
    heapq.heapify(waiting)
    done = 0
    while waiting:
        at, _, needle = waiting[0]
        if at >= done:
            done = at + len(needle)
            yield at, done, needles[needle]
        at = text.find(needle, done)
        if at >= 0:
            heapq.heapreplace(waiting, (at, -len(needle), needle))
        else:
            heapq.heappop(waiting)
