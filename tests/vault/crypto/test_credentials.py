from __future__ import annotations

import hashlib
import re

import pytest

from vault.crypto.credentials import digest, new_app_key

# Made once, of the bytes 0 to 31: an application that holds such a key must be known for ever.
KEY = "plk_aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq6g5ul6"
KEY_DIGEST = "d622f240b9bb6ed43224e5afdc5b2968eb13c6dba98f017b6a541400a3cbecf6"
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def test_a_new_key_has_256_random_bits_and_a_prefix_that_scanners_find():
    keys = {new_app_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(re.fullmatch(r"plk_[a-z2-7]{58}", key) for key in keys)
    # 51 characters of five bits, which all differ from key to key; the 52nd holds one bit, the rest is a checksum.
    for place in range(4, 55):
        assert len({key[place] for key in keys}) > 20


def test_what_is_stored_is_the_sha_256_of_the_whole_key():
    key = new_app_key()
    assert digest(key) == hashlib.sha256(key.encode("ascii")).digest()


def test_a_known_key_keeps_its_shape_and_its_digest():
    stored = digest(KEY)
    assert stored is not None
    assert stored.hex() == KEY_DIGEST


def test_one_mistyped_character_is_noticed_without_a_look_up():
    key = new_app_key()
    for place in range(4, len(key)):
        for char in BASE32:
            if char != key[place]:
                assert digest(key[:place] + char + key[place + 1 :]) is None


def test_two_swapped_characters_are_noticed():
    key = new_app_key()
    for place in range(4, len(key) - 1):
        swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
        assert swapped == key or digest(swapped) is None


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda key: key + "\n",
        lambda key: " " + key,
        lambda key: key[:-1],
        lambda key: key + "a",
        lambda key: "sk_" + key[4:],
        lambda key: key[4:],
        lambda key: key.replace("plk_", "plk-"),
        lambda key: key[:20] + "\u0430" + key[21:],
        lambda key: key[:20] + "\ud800" + key[21:],
        lambda _key: "",
        lambda _key: "plk_",
        lambda _key: "plk_" + "a" * 58,
    ],
)
def test_nothing_else_is_a_key(change):
    assert digest(change(new_app_key())) is None
