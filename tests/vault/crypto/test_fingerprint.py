"""Fingerprints are keyed (promise 8), and stay the same for ever: the vectors are what databases hold."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pytest

from vault.crypto.data_key import DataKey
from vault.crypto.fingerprint import fingerprint
from vault.sensitive import Sensitive
from vault.tokens import uuid7

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "fingerprint.json").read_text())
vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["kind"] + vector["value"][-4:])
PAN = Sensitive("4242424242424242")


def key(secret: bytes) -> DataKey:
    return DataKey(uuid7(), secret)


@vectors
def test_an_old_fingerprint_is_found_again(vector):
    found = fingerprint(key(bytes.fromhex(vector["key"])), vector["kind"], Sensitive(vector["value"]))
    assert found.hex() == vector["fingerprint"]


@vectors
def test_a_vector_is_an_hmac_over_kind_and_value(vector):
    kind, value = vector["kind"].encode(), vector["value"].encode()
    message = len(kind).to_bytes(2, "big") + kind + len(value).to_bytes(2, "big") + value
    made = hmac.new(bytes.fromhex(vector["key"]), message, hashlib.sha256)
    assert made.hexdigest() == vector["fingerprint"]


def test_the_id_of_the_key_does_not_matter():
    assert fingerprint(key(b"k" * 32), "pan", PAN) == fingerprint(key(b"k" * 32), "pan", PAN)


def test_another_key_kind_or_value_gives_another_fingerprint():
    found = [
        fingerprint(key(b"k" * 32), "pan", PAN),
        fingerprint(key(b"j" * 32), "pan", PAN),
        fingerprint(key(b"k" * 32), "iban", PAN),
        fingerprint(key(b"k" * 32), "pan", Sensitive("4000000000000002")),
        fingerprint(key(b"k" * 32), "pan4", Sensitive("242424242424242")),
    ]
    assert len(set(found)) == len(found)


def test_without_the_key_it_cannot_be_made():
    """What somebody could try who has the database and knows the format."""
    found = fingerprint(key(b"k" * 32), "pan", PAN)
    message = b"\x00\x03pan\x00\x104242424242424242"
    guesses = [hashlib.sha256(text).digest() for text in (message, b"4242424242424242", b"pan4242424242424242")]
    guesses += [hmac.digest(secret, message, "sha256") for secret in (b"", bytes(32), b"panless")]
    assert found not in guesses
