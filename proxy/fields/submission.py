"""What a frame hands in: texts by name, and what is answered: tokens only. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from proxy.errors import FieldsRequestInvalid
from vault.errors import NotOfItsKind
from vault.kinds import BANK_ACCOUNT, CVC, IBAN, KINDS, PAN, Kind
from vault.requests import NewValue
from vault.sensitive import Sensitive
from vault.tokens import Token

_KINDS: Mapping[str, Kind] = {
    "number": PAN,
    "iban": IBAN,
    "account": BANK_ACCOUNT,
    "payload": KINDS["text"],
    "routing": KINDS["routing_number"],
    "name": KINDS["cardholder_name"],
    "cvc": CVC,
}
MAIN = ("number", "iban", "account", "payload")
WALLETS = ("apple_pay", "google_pay")
_PLAIN = ("session", "key", "origin", "expiry", "token", "wallet")
LAST_ZONE = timedelta(hours=12)
_EXPIRY = re.compile(r"(0[1-9]|1[0-2])/(20[0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Submission:
    """What was handed in. `texts` are sensitive; `card` is the token that a code belongs to; a frame was made for `key`
    and `origin`.
    """

    session: str
    texts: Mapping[str, Sensitive] = field(repr=False)
    expiry: str | None = None
    card: str | None = None
    wallet: str | None = None
    key: str | None = None
    origin: str | None = None

    @property
    def names(self) -> Sequence[str]:
        """Of what there is: the main value first."""
        return [name for name in _KINDS if name in self.texts]

    @property
    def values(self) -> list[NewValue]:
        names = self.names
        card = names.index("number") if "number" in names else None
        return [NewValue(_KINDS[name], self.texts[name], name, card if name == "cvc" else None) for name in names]

    def answer(self, tokens: Sequence[Token]) -> dict[str, str]:
        """Return what the page gets, for the tokens of `values`."""
        by_name = dict(zip(self.names, map(str, tokens), strict=True))
        found: dict[str, str | None] = {}
        main = next((name for name in MAIN if name in by_name), None)
        if main is not None:
            kind = _KINDS[main]
            about = kind.describe(kind.normalise(self.texts[main], main))
            # Any beginning of an account number is one: its last digits, asked for again and again, would tell it all.
            last4 = about.last4 if main != "account" else None
            found = {"token": by_name.pop(main), "brand": about.brand, "last4": last4}
        elif self.card is not None:
            found = {"token": self.card}
        found |= by_name | {"expiry": self.expiry, "wallet": self.wallet}
        return {name: text for name, text in found.items() if text is not None}


def read(body: bytes) -> Submission:
    """Read what was handed in; raises FieldsRequestInvalid, or NotOfItsKind for an expiry date."""
    given = read_texts(body)
    if unknown := given.keys() - _KINDS.keys() - set(_PLAIN):
        raise FieldsRequestInvalid(problem=f"{len(unknown)} members are not known")
    texts = {name: Sensitive(text) for name, text in given.items() if name in _KINDS}
    submission = Submission(
        given.get("session", ""), texts, *(given.get(name) for name in ("expiry", "token", "wallet", "key", "origin"))
    )
    _check(submission)
    return submission


def read_texts(body: bytes) -> dict[str, str]:
    """Return the members of a JSON object of texts; raises FieldsRequestInvalid, which shows nothing of them."""
    try:
        pairs = json.loads(body, object_pairs_hook=lambda pairs: pairs)
    except (ValueError, RecursionError):
        pairs = None
    if not isinstance(pairs, list) or not all(isinstance(each, tuple) for each in pairs):
        raise FieldsRequestInvalid(problem="the body has to be a JSON object")
    found = dict(pairs)
    if len(found) != len(pairs) or not all(isinstance(text, str) and _whole(text) for text in found.values()):
        raise FieldsRequestInvalid(problem="the body has to be a JSON object of texts, each named once")
    return found


def _whole(text: str) -> bool:
    """Tell whether a text has no half of a character (a lone surrogate), which could not be sealed."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _check(given: Submission) -> None:
    mains = [name for name in MAIN if name in given.texts]
    if len(mains) + (given.card is not None) > 1 or not given.texts:
        raise FieldsRequestInvalid(problem="it takes one of number, iban, account, payload, or cvc with token")
    if given.card is not None and set(given.texts) != {"cvc"}:
        raise FieldsRequestInvalid(problem="with a token comes a cvc, and nothing else")
    if "cvc" in given.texts and mains not in (["number"], []):
        raise FieldsRequestInvalid(problem="a cvc belongs to a number or a token")
    if ("payload" in given.texts) != (given.wallet in WALLETS) or (given.wallet and given.wallet not in WALLETS):
        raise FieldsRequestInvalid(problem=f"a payload comes with a wallet: {' or '.join(WALLETS)}")
    if given.expiry is not None:
        _check_expiry(given.expiry)


def _check_expiry(text: str) -> None:
    """A card is good until its month is over, in the last time zone, too."""
    match = _EXPIRY.fullmatch(text)
    now = datetime.now(UTC) - LAST_ZONE
    if match is None or (int(match[2]), int(match[1])) < (now.year, now.month):
        raise NotOfItsKind(at="expiry", kind="expiry", expected="a month that is not over, as MM/YYYY")
