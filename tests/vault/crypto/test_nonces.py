"""No nonce is used twice: SEALS seals under one key (200,000 in every run; `make nonces` makes ten million)."""

from __future__ import annotations

import os
from array import array

from vault.crypto.data_key import DataKey
from vault.crypto.envelope import Binding, seal
from vault.sensitive import Sensitive
from vault.tokens import mint, uuid7

SEALS = int(os.environ.get("SEALS", "200000"))
PARTS = 256


def test_no_nonce_comes_twice():
    """Compared by their first 8 bytes: among ten million random ones, two alike are a matter of 1 in 370,000."""
    key, value = DataKey(uuid7(), bytes(32)), Sensitive("4242424242424242")
    binding = Binding("default", mint("tok"), "pan")
    parts = [array("Q") for _ in range(PARTS)]
    for _ in range(SEALS):
        nonce = seal(key, value, binding)[1:13]
        parts[nonce[0]].append(int.from_bytes(nonce[:8], "big"))
    assert sum(map(len, parts)) == SEALS
    assert all(len(set(part)) == len(part) for part in parts)
    assert min(map(len, parts)) > SEALS / PARTS * 0.8, "they are spread over all values"
