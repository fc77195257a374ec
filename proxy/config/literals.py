"""Secrets that stand in a configuration themselves: they are refused wherever they stand, by what they look like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# Panless's own keys; those of Stripe, OpenBao or Vault, AWS and GitHub; private keys in PEM.
_SECRET = re.compile(
    r"pl[ko]_[a-z2-7]{58}|[sr]k_(?:live|test)_[0-9A-Za-z]{8,}|whsec_[0-9A-Za-z+/]{8,}|\bhv[sb]\.[0-9A-Za-z_-]{16,}"
    r"|\bs\.[0-9A-Za-z]{24}\b|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[0-9A-Za-z]{20,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----",
    re.ASCII,
)
PROBLEM = (
    "a secret stands in the configuration itself; give it as env:NAME, file:PATH, transit-kv:PATH#FIELD or "
    "aws-secrets:NAME"
)


def literal_secret(document: Any) -> str | None:
    """Return the key of the first value that is a secret, or None."""
    return next((place for place, text in _texts(document, ()) if _SECRET.search(text)), None)


def _texts(document: Any, place: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(document, str):
        yield ".".join(place), document
    elif isinstance(document, dict):
        for name, value in document.items():
            yield from _texts(value, (*place, name))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from _texts(value, (*place, str(number)))
