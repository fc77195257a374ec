"""A key on its way to one process opens there and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from vault.crypto import aead, sharing

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sharing.json").read_text())
KEY, CONTEXT = bytes(range(32)), b"for this process"


def pair_of(private: bytes) -> sharing.PrivateKey:
    pair = sharing.PrivateKey()
    pair._private = X25519PrivateKey.from_private_bytes(private)
    pair.public = pair._private.public_key().public_bytes_raw()
    return pair


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["key"][:8])
def test_what_was_encrypted_before_is_decrypted(vector):
    pair = pair_of(bytes.fromhex(vector["private"]))
    assert pair.public.hex() == vector["public"]
    assert pair.decrypt(bytes.fromhex(vector["encrypted"]), bytes.fromhex(vector["context"])).hex() == vector["key"]


def test_only_the_receiver_decrypts_and_only_in_the_same_context():
    pair, other = sharing.PrivateKey(), sharing.PrivateKey()
    encrypted = sharing.encrypt_to(pair.public, KEY, CONTEXT)
    assert pair.decrypt(encrypted, CONTEXT) == KEY
    assert KEY not in encrypted
    for who, context in ((other, CONTEXT), (pair, b""), (pair, CONTEXT + b"x")):
        with pytest.raises(aead.DoesNotOpen):
            who.decrypt(encrypted, context)


def test_a_flipped_bit_anywhere_and_every_cut_is_refused():
    pair = sharing.PrivateKey()
    encrypted = sharing.encrypt_to(pair.public, KEY, CONTEXT)
    # The highest bit of an X25519 public key is not part of it (RFC 7748), but of what the key is derived from.
    for bit in range(len(encrypted) * 8):
        changed = bytearray(encrypted)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(aead.DoesNotOpen):
            pair.decrypt(bytes(changed), CONTEXT)
    for length in range(len(encrypted)):
        with pytest.raises(aead.DoesNotOpen):
            pair.decrypt(encrypted[:length], CONTEXT)


@pytest.mark.parametrize("point", [bytes(32), (1).to_bytes(32, "little")])
def test_points_of_small_order_are_refused(point):
    pair = sharing.PrivateKey()
    with pytest.raises(aead.DoesNotOpen):
        pair.decrypt(point + aead.encrypt(bytes(32), KEY, CONTEXT), CONTEXT)
    with pytest.raises(ValueError, match=r"."):
        sharing.encrypt_to(point, KEY, CONTEXT)
