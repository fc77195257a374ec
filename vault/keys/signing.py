"""Signing with the active signing key: receipts and checkpoints, as signed notes."""

from __future__ import annotations

from vault.crypto import signed_note
from vault.crypto.data_key import Purpose, WrappedKey
from vault.errors import KeyUnavailable
from vault.keys.keks import EVERY_TENANT
from vault.keys.keyring import Keyring


async def signed(keyring: Keyring, text: str) -> str:
    """Return a text as a signed note; the first signing key is made if there is none. Raises KeyUnavailable."""
    row = await keyring.active_row(EVERY_TENANT, Purpose.SIGNING)
    key = await keyring.opening_key(row.id)
    if signed_note.public_key(key.secret) != row.public_key:
        raise KeyUnavailable(key=str(row.id), reason="its public key in the database is another one's")
    return signed_note.sign(text, signer(row), key.secret)


def signer(row: WrappedKey) -> str:
    """Return the name that a key signs by."""
    return f"panless-{row.id}"
