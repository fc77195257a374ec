"""Card-shaped tokens: digits for SDKs and databases that take nothing else.

A token is made from keyed random bytes and from what may be shown of a card (PCI DSS v4.0.1 requirement 3.4.1): its
length, its first six and last four digits. Nobody who lacks the key can get from a token to its card.
"""

from __future__ import annotations

from dataclasses import dataclass

from vault.kinds import Description, luhn_valid

KEPT_BIN, KEPT_LAST = 6, 4
SHORTEST = 12


@dataclass(frozen=True, slots=True)
class CardShape:
    """What a card-shaped token looks like: at most `max_length` digits, of which the first six and the last four can be
    the card's; `luhn` says whether the check digit is right. Without the card's first digits it begins with a 9, which
    is in no issuer's range; a wrong check digit keeps it from ever being taken for a card number.
    """

    max_length: int = 19
    keep_bin: bool = False
    keep_last4: bool = True
    luhn: bool = False


def card_token(shape: CardShape, about: Description, entropy: bytes) -> str:
    """Return the token for a card of which `about` is known. `entropy`: 32 uniformly random bytes."""
    length = _length(shape, about)
    head = (about.bin or "") if shape.keep_bin else "9"
    tail = (about.last4 or "") if shape.keep_last4 else ""
    free = length - len(head) - len(tail)
    middle = str(int.from_bytes(entropy, "big") % 10**free).zfill(free)
    # The last of the free digits decides whether the check digit is right: exactly one of ten makes it so.
    tokens = (f"{head}{middle[:-1]}{(int(middle[-1]) + step) % 10}{tail}" for step in range(10))
    return next(token for token in tokens if luhn_valid(token) == shape.luhn)


def fits(shape: CardShape, about: Description, digits: str) -> bool:
    """Tell whether a card's token has this shape: then it is the one to give out again."""
    kept_last4 = about.last4 is not None and digits.endswith(about.last4)
    head = about.bin if shape.keep_bin and about.bin else "9"
    same = len(digits) == _length(shape, about) and digits.startswith(head) and luhn_valid(digits) == shape.luhn
    return same and kept_last4 == shape.keep_last4


def _length(shape: CardShape, about: Description) -> int:
    return max(SHORTEST, min(about.length or SHORTEST, shape.max_length))
