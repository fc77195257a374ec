from __future__ import annotations

import pytest

from vault.crypto import aead

# GCM test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation": AES-256 with associated data.
KEY = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
NONCE = bytes.fromhex("cafebabefacedbaddecaf888")
PLAINTEXT = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
ASSOCIATED = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
CIPHERTEXT = bytes.fromhex(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
)
TAG = bytes.fromhex("76fc6ece0f4e1768cddf8853bb2d551b")


def test_it_is_aes_256_gcm():
    assert aead.decrypt(KEY, NONCE + CIPHERTEXT + TAG, ASSOCIATED) == PLAINTEXT


def test_what_is_encrypted_opens_and_has_nonce_and_tag_around_it():
    box = aead.encrypt(KEY, b"value", b"context")
    assert len(box) == 12 + 5 + 16
    assert aead.decrypt(KEY, box, b"context") == b"value"


def test_nonces_are_not_repeated():
    assert len({aead.encrypt(KEY, b"", b"")[:12] for _ in range(5000)}) == 5000


@pytest.mark.parametrize("length", range(28))
def test_what_is_too_short_to_be_a_box_does_not_open(length):
    with pytest.raises(aead.DoesNotOpen):
        aead.decrypt(KEY, bytes(length), b"")


@pytest.mark.parametrize(
    ("key", "box", "associated"),
    [
        (bytes(32), NONCE + CIPHERTEXT + TAG, ASSOCIATED),
        (KEY, NONCE + CIPHERTEXT + TAG, b""),
        (KEY, NONCE + CIPHERTEXT + TAG, ASSOCIATED + b"\x00"),
        (KEY, bytes(12) + CIPHERTEXT + TAG, ASSOCIATED),
        (KEY, NONCE + CIPHERTEXT[:-1] + TAG, ASSOCIATED),
        (KEY, NONCE + CIPHERTEXT + bytes(16), ASSOCIATED),
    ],
)
def test_nothing_else_opens_and_the_error_says_nothing(key, box, associated):
    with pytest.raises(aead.DoesNotOpen) as caught:
        aead.decrypt(key, box, associated)
    assert caught.value.args == ()
    assert caught.value.__suppress_context__


def test_new_keys_are_256_bits_and_differ():
    keys = {aead.new_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {32}


def test_many_at_once_open_one_by_one_and_have_nonces_of_their_own():
    cipher = aead.Cipher(KEY)
    boxes = cipher.encrypt_all([(b"value", b"context"), (b"value", b"other"), (b"value", b"context")])
    assert [cipher.decrypt(box, about) for box, about in zip(boxes, (b"context", b"other", b"context"), strict=True)]
    assert len({box[:12] for box in boxes}) == 3
    with pytest.raises(aead.DoesNotOpen):
        cipher.decrypt(boxes[1], b"context")
