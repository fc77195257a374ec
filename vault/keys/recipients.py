"""Encrypting a share to its custodian: to an age key (`age1...`) or an SSH key (ssh-ed25519, ssh-rsa)."""

from __future__ import annotations

import pyrage


class NotARecipient(Exception):
    """The text is no public key that age encrypts to."""


def encrypt(text: bytes, public_key: str) -> bytes:
    """Return `text` in age's format, armored, for the holder of the private key; raises NotARecipient."""
    try:
        if public_key.startswith("ssh-"):
            recipient = pyrage.ssh.Recipient.from_str(public_key)
        else:
            recipient = pyrage.x25519.Recipient.from_str(public_key)
        encrypted: bytes = pyrage.encrypt(text, [recipient], armored=True)
    except (pyrage.RecipientError, pyrage.EncryptError):
        raise NotARecipient from None
    return encrypted
