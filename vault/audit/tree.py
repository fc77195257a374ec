"""The Merkle tree of RFC 6962, section 2.1, over leaf hashes of 32 bytes. Pure.

A tree that only grows is held by its peaks: the roots of its perfect subtrees, left to right, largest first. There are
as many of them as the size has bits that are set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


class ProofRejected(Exception):
    """The proof does not lead from the leaf, or from the older root, to the root."""


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that leaves are appended to. `peaks` of a size that is not theirs are a ValueError."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)
        if size < 0 or len(self.peaks) != size.bit_count() or any(len(peak) != HASH_BYTES for peak in self.peaks):
            raise ValueError("these are not the peaks of a tree of that size")

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> Tree:
        tree = cls()
        for leaf in leaves:
            tree.append(leaf)
        return tree

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        size, peaks = self.size, self.peaks
        while size & 1:
            leaf = hashlib.sha256(b"\x01" + peaks.pop() + leaf).digest()
            size >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Leaves:
    """A tree whose leaves are at hand, from one on: before that there are the peaks of the tree of that size."""

    def __init__(self, begin: Tree, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves
        self._begin = begin.size
        self.size = begin.size + len(leaves)
        self._peaks: dict[tuple[int, int], bytes] = {}
        low = 0
        for bit, peak in zip(_bits(begin.size), begin.peaks, strict=True):
            self._peaks[low, low + bit] = peak
            low += bit

    def hash(self, low: int, high: int) -> bytes:
        """Return MTH(D[low:high])."""
        if (peak := self._peaks.get((low, high))) is not None:
            return peak
        if high - low == 1:
            if low < self._begin:
                raise ValueError("that leaf is not at hand")
            return self._leaves[low - self._begin]
        if low >= self._begin:
            return Tree.of(self._leaves[low - self._begin : high - self._begin]).root()
        middle = low + _split(high - low)
        return node_hash(self.hash(low, middle), self.hash(middle, high))

    def inclusion(self, index: int) -> list[bytes]:
        """Return PATH(index, D): what leads from a leaf to the root, its sibling first."""
        path, low, high = [], 0, self.size
        if not self._begin <= index < self.size:
            raise ValueError("that leaf is not at hand")
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self.hash(middle, high))
                high = middle
            else:
                path.append(self.hash(low, middle))
                low = middle
        return path[::-1]

    def consistency(self, older: int) -> list[bytes]:
        """Return PROOF(older, D): what shows that the tree of `older` leaves is the beginning of this one."""
        return self._subproof(older, 0, self.size, known=True) if 0 < older < self.size else []

    def _subproof(self, older: int, low: int, high: int, *, known: bool) -> list[bytes]:
        if older == high - low:
            return [] if known else [self.hash(low, high)]
        split = _split(high - low)
        if older <= split:
            return [*self._subproof(older, low, low + split, known=known), self.hash(low + split, high)]
        return [*self._subproof(older - split, low + split, high, known=False), self.hash(low, low + split)]


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise ProofRejected unless the leaf is at this index of the tree (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        raise ProofRejected
    at, last, found = index, size - 1, leaf
    for each in path:
        if last == 0 or len(each) != HASH_BYTES:
            raise ProofRejected
        if at & 1 or at == last:
            found = node_hash(each, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, each)
        at, last = at >> 1, last >> 1
    if last != 0 or found != root:
        raise ProofRejected


def check_consistency(older: int, older_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raise ProofRejected unless the older tree is the beginning of the newer one (RFC 9162, section 2.1.4.2)."""
    if older in (size, 0):
        if proof or (older == size and older_root != root) or (older == 0 and older_root != EMPTY_ROOT):
            raise ProofRejected
        return
    steps = [older_root, *proof] if older & (older - 1) == 0 else list(proof)
    if older > size or older < 0 or not proof or any(len(each) != HASH_BYTES for each in steps):
        raise ProofRejected
    at, last = older - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = steps[0]
    for each in steps[1:]:
        if last == 0:
            raise ProofRejected
        if at & 1 or at == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, each)
        at, last = at >> 1, last >> 1
    if last != 0 or old != older_root or new != root:
        raise ProofRejected


def _split(size: int) -> int:
    """Return the largest power of two that is smaller than the size."""
    return 1 << (size - 1).bit_length() - 1


def _bits(size: int) -> list[int]:
    return [1 << bit for bit in reversed(range(size.bit_length())) if size >> bit & 1]
