"""Shares of a KEK, as words (SLIP-39): any `threshold` of them give the KEK, fewer tell nothing about it.

Split and combined by the standard's own reference library. There is one group and no passphrase, so that every tool for
SLIP-39 can combine the shares, too. An error says which word is wrong, and never shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics
from shamir_mnemonic import Share as Decoded
from shamir_mnemonic.wordlist import WORDLIST

from vault.errors import ShareRejected

WORDS = 33  # of a share of 256 bits
_KNOWN = frozenset(WORDLIST)


class DoNotCombine(Exception):
    """The shares are not of one KEK."""


@dataclass(frozen=True, slots=True)
class Share:
    """`identifier`: of the set that it belongs to (15 bits); `number`: from 1; `threshold`: how many are needed."""

    identifier: int
    number: int
    threshold: int
    words: str = field(repr=False)


def split(kek: bytes, threshold: int, count: int) -> list[Share]:
    """Return `count` shares of a KEK, any `threshold` of which combine to it."""
    (group,) = generate_mnemonics(1, [(threshold, count)], kek, iteration_exponent=0)
    return [read(words) for words in group]


def combine(shares: Sequence[Share]) -> bytes:
    """Return the KEK of exactly as many shares as are needed; raises DoNotCombine."""
    with suppress(MnemonicError):  # not chained: its message may hold words
        kek: bytes = combine_mnemonics([share.words for share in shares])
        return kek
    raise DoNotCombine


def read(text: str) -> Share:
    """Read a share as somebody entered it: in any case, with any white space, numbered or not; raises ShareRejected."""
    words = [word for word in text.lower().split() if not word.rstrip(".").isdigit()]
    for number, word in enumerate(words, 1):
        if word not in _KNOWN:
            raise ShareRejected(reason=f"word {number} is not in the list of SLIP-39")
    if len(words) != WORDS:
        raise ShareRejected(reason=f"it has {len(words)} words instead of {WORDS}")
    with suppress(MnemonicError):  # not chained: its message holds words
        share = Decoded.from_mnemonic(" ".join(words))
        if share.common_parameters()[2:] != (0, 1, 1):  # a high exponent would keep Panless busy for minutes
            raise ShareRejected(reason="it is not of a ceremony of Panless")
        return Share(share.identifier, share.index + 1, share.member_threshold, " ".join(words))
    raise ShareRejected(reason="its checksum is wrong: a word is not the one written down, or out of order")
