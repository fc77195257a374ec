"""Signed notes (C2SP signed-note): a text, and below it a line for each signature, Ed25519 (RFC 8032).

    TEXT, ending with a line feed
    (empty line)
    — NAME BASE64(key hash(4) | signature(64))

Whoever verifies has a verifier key, `NAME+HASH+BASE64(0x01 | public key)`, from somewhere that they trust.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_HASH_BYTES = 4
_PUBLIC_KEY_BYTES = 32


class NoteRejected(Exception):
    """The note is none, was not signed by this key, or was changed."""


def public_key(secret: bytes) -> bytes:
    """Return the public key of a 32-byte Ed25519 seed."""
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def verifier_key(name: str, public: bytes) -> str:
    """Return what a verifier needs, in one line."""
    return f"{name}+{_key_hash(name, public).hex()}+{base64.b64encode(_ED25519 + public).decode()}"


def sign(text: str, name: str, secret: bytes) -> str:
    """Return a text as a signed note. The text ends with a line feed; the name has no space and no plus."""
    signature = Ed25519PrivateKey.from_private_bytes(secret).sign(text.encode())
    box = base64.b64encode(_key_hash(name, public_key(secret)) + signature).decode()
    return f"{text}\n\u2014 {name} {box}\n"


def verify(note: str, verifier: str) -> str:
    """Return the text of a note that was signed by the verifier key's owner; raises NoteRejected."""
    name, public = _parsed(verifier)
    text, separator, signatures = note.rpartition("\n\n")
    for line in signatures.splitlines():
        match line.split(" "):
            case ["\u2014", signer, box] if separator and signer == name:
                # A key that was replaced had the same name: a line is this key's by its hash.
                if (signature := _decoded(box))[:_HASH_BYTES] == _key_hash(name, public):
                    return _checked(text + "\n", signature[_HASH_BYTES:], public)
    raise NoteRejected


def is_verifier_key(verifier: str) -> bool:
    """Tell whether a line is a verifier key."""
    try:
        _parsed(verifier)
    except NoteRejected:
        return False
    return True


def _checked(text: str, signature: bytes, public: bytes) -> str:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
    except InvalidSignature:
        raise NoteRejected from None
    return text


def _parsed(verifier: str) -> tuple[str, bytes]:
    # The public key's base64 may have a plus in it: split only twice.
    name, _, rest = verifier.partition("+")
    key_hash, _, encoded = rest.partition("+")
    key = _decoded(encoded)
    if len(key) != 1 + _PUBLIC_KEY_BYTES or key[:1] != _ED25519 or _key_hash(name, key[1:]).hex() != key_hash:
        raise NoteRejected
    return name, key[1:]


def _key_hash(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:_HASH_BYTES]


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise NoteRejected from None
