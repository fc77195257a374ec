"""A sealed record opens only where it belongs (promise 7). The vectors stay: old records have to open for ever."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault.crypto.data_key import DataKey
from vault.crypto.envelope import Binding, seal, unseal
from vault.errors import RecordDoesNotOpen
from vault.exposure import expose
from vault.sensitive import Sensitive
from vault.tokens import Token, mint, recognise, uuid7

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "envelope.json").read_text())
vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["token"])
FIRST = VECTORS[0]


def key_of(vector: dict) -> DataKey:
    return DataKey(UUID(vector["key_id"]), bytes.fromhex(vector["key"]))


def binding_of(vector: dict) -> Binding:
    token = recognise(vector["token"])
    assert token is not None
    return Binding(vector["tenant"], token, vector["kind"])


def associated_data(vector: dict) -> bytes:
    """The format's documentation once more, in other words than the code's."""
    found = bytearray([1])
    token = recognise(vector["token"])
    for part in (vector["tenant"].encode(), token.id.bytes, vector["kind"].encode(), UUID(vector["key_id"]).bytes):
        found += struct.pack(">H", len(part))
        found += part
    return bytes(found)


@vectors
def test_an_old_record_opens(vector):
    assert expose(unseal(key_of(vector), bytes.fromhex(vector["sealed"]), binding_of(vector))) == vector["plaintext"]


@vectors
def test_a_vector_is_what_aes_gcm_gives_for_the_documented_format(vector):
    assert associated_data(vector).hex() == vector["associated_data"]
    nonce = bytes.fromhex(vector["nonce"])
    box = AESGCM(bytes.fromhex(vector["key"])).encrypt(nonce, vector["plaintext"].encode(), associated_data(vector))
    assert (b"\x01" + nonce + box).hex() == vector["sealed"]


@vectors
def test_what_is_sealed_today_has_the_documented_format(vector):
    sealed = seal(key_of(vector), Sensitive(vector["plaintext"]), binding_of(vector))
    assert (sealed[0], len(sealed)) == (1, 1 + 12 + len(vector["plaintext"]) + 16)
    box = AESGCM(bytes.fromhex(vector["key"]))
    assert box.decrypt(sealed[1:13], sealed[13:], associated_data(vector)).decode() == vector["plaintext"]


def test_the_same_value_is_never_sealed_the_same_way_twice():
    sealed = {seal(key_of(FIRST), Sensitive("4242424242424242"), binding_of(FIRST)) for _ in range(1000)}
    assert len({each[1:13] for each in sealed}) == 1000


def refused(key: DataKey, sealed: bytes, binding: Binding) -> None:
    with pytest.raises(RecordDoesNotOpen) as caught:
        unseal(key, sealed, binding)
    assert caught.value.ids == {"token": str(binding.token)}
    assert FIRST["plaintext"] not in repr(caught.value) + repr(caught.value.__context__)


@vectors
def test_a_bit_flipped_anywhere_keeps_it_shut(vector):
    sealed = bytes.fromhex(vector["sealed"])
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        refused(key_of(vector), bytes(changed), binding_of(vector))


def test_cut_to_any_length_or_longer_it_stays_shut():
    sealed = bytes.fromhex(FIRST["sealed"])
    for length in range(len(sealed)):
        refused(key_of(FIRST), sealed[:length], binding_of(FIRST))
        refused(key_of(FIRST), sealed[length + 1 :], binding_of(FIRST))
    refused(key_of(FIRST), sealed + b"\x00", binding_of(FIRST))
    refused(key_of(FIRST), b"\x01" + sealed, binding_of(FIRST))


def test_a_bit_flipped_in_the_key_keeps_it_shut():
    for bit in range(256):
        secret = bytearray(bytes.fromhex(FIRST["key"]))
        secret[bit // 8] ^= 1 << bit % 8
        refused(DataKey(UUID(FIRST["key_id"]), bytes(secret)), bytes.fromhex(FIRST["sealed"]), binding_of(FIRST))


def test_moved_anywhere_else_it_stays_shut():
    here = binding_of(FIRST)
    sealed, key = bytes.fromhex(FIRST["sealed"]), key_of(FIRST)
    elsewhere = [
        Binding("other", here.token, here.kind),
        Binding("", here.token, here.kind),
        Binding(here.tenant.upper(), here.token, here.kind),
        Binding(here.tenant, mint("tok"), here.kind),
        Binding(here.tenant, Token("tok", UUID(int=here.token.id.int ^ 1)), here.kind),
        Binding(here.tenant, here.token, "cvc"),
        Binding(here.tenant, here.token, "Pan"),
        Binding(here.tenant, here.token, ""),
    ]
    for binding in elsewhere:
        refused(key, sealed, binding)
    refused(DataKey(uuid7(), key.secret), sealed, here)
    refused(DataKey(UUID(int=key.id.int ^ (1 << 127)), key.secret), sealed, here)


def test_parts_cannot_be_shifted_from_one_to_the_next():
    """`ab` and `c` is not `a` and `bc`: every part says how long it is."""
    key, token = key_of(FIRST), mint("tok")
    sealed = seal(key, Sensitive("x"), Binding("default", token, "pan"))
    # The token's bytes as text in the tenant, as an encoding without lengths would take them.
    text = "".join(map(chr, b"default"))
    refused(key, sealed, Binding(text + "\x00", token, "pan"))
    refused(key, sealed, Binding("defaul", token, "tpan"))


def test_every_vector_is_shut_for_every_other_ones_place():
    for vector in VECTORS:
        for other in VECTORS:
            if vector is not other:
                refused(key_of(vector), bytes.fromhex(vector["sealed"]), binding_of(other))
                refused(key_of(other), bytes.fromhex(vector["sealed"]), binding_of(vector))


def test_no_repr_shows_a_key_or_a_value():
    key = key_of(FIRST)
    shown = f"{key!r} {key} {binding_of(FIRST)!r}"
    assert FIRST["key"] not in shown
    assert repr(key.secret) not in shown
    assert repr(key.secret)[2:10] not in shown
