"""AES keys in a token: finding and making them, and wrapping with them. Everything belongs to the library's thread.

What the library raises is for `Token` to translate. What a key can do is for the token to say, so keys have no types.
"""

from __future__ import annotations

import os
from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, exceptions
from pkcs11.mechanisms import GCMParams

from vault.errors import KeyUnavailable
from vault.keys.pkcs11.token import NotThere
from vault.tokens import uuid7

_VERSION = b"\x01"
_IV_BYTES = 12
_TAG_BYTES = 16
_KEY_BITS = 256
_STAYS_INSIDE = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.MODIFIABLE: False,
    Attribute.WRAP: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
}


def generate(session: pkcs11.Session, label: str) -> Any:
    """Return a new key that stays in the token. Its id is a UUIDv7, so that later keys sort after earlier ones."""
    flags = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
    return session.generate_key(
        KeyType.AES, _KEY_BITS, id=uuid7().bytes, label=label, store=True, capabilities=flags, template=_STAYS_INSIDE
    )


def unfit(key: Any) -> str | None:
    """Return why a key must not be a KEK, or None."""
    if not key[Attribute.SENSITIVE] or key[Attribute.EXTRACTABLE]:
        return "it can leave the token (not CKA_SENSITIVE, or CKA_EXTRACTABLE)"
    if key[Attribute.KEY_TYPE] != KeyType.AES or key[Attribute.VALUE_LEN] * 8 != _KEY_BITS:
        return "it is not an AES key of 256 bits"
    return None


def keys(session: pkcs11.Session, label: str, key_id: bytes | None = None) -> list[Any]:
    """Return keys by label, the newest last."""
    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label}
    if key_id is not None:
        wanted[Attribute.ID] = key_id
    found: list[Any] = list(session.get_objects(wanted))
    return sorted(found, key=lambda key: (len(key[Attribute.ID]), key[Attribute.ID]))


def find(session: pkcs11.Session, label: str, key_id: bytes) -> Any:
    """Return one key; raises NotThere."""
    if len(found := keys(session, label, key_id)) != 1:
        raise NotThere
    return found[0]


def wrap(kek: Any, key: bytes, context: bytes) -> bytes:
    """Return `version | iv | ciphertext | tag`."""
    iv = os.urandom(_IV_BYTES)
    return _VERSION + iv + bytes(kek.encrypt(key, **_gcm(iv, context)))


def unwrap(kek: str, key: Any, wrapped: bytes, context: bytes) -> bytes:
    """Return the key; raises KeyUnavailable if it was not wrapped by this KEK in this context."""
    if wrapped[:1] != _VERSION or len(wrapped) < len(_VERSION) + _IV_BYTES + _TAG_BYTES:
        raise KeyUnavailable(key=kek, reason="the data key was not wrapped by this KEK")
    iv, box = wrapped[1 : 1 + _IV_BYTES], wrapped[1 + _IV_BYTES :]
    try:
        return bytes(key.decrypt(box, **_gcm(iv, context)))
    except exceptions.PKCS11Error:
        # Some libraries say CKR_GENERAL_ERROR for a wrong tag: it was the data key if another one opens.
        own = wrap(key, bytes(32), context)
        key.decrypt(own[1 + _IV_BYTES :], **_gcm(own[1 : 1 + _IV_BYTES], context))
        raise KeyUnavailable(key=kek, reason="the data key was not wrapped by this KEK") from None


def _gcm(iv: bytes, context: bytes) -> dict[str, Any]:
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(iv, context, _TAG_BYTES * 8)}
