"""References to secrets: `env:NAME` and `file:PATH`. The configuration holds no secret itself."""

from __future__ import annotations

import os
from pathlib import Path


class SecretUnavailable(ValueError):
    """The secret is not where the reference says; the message names the place, never what was found."""


def check_reference(text: str) -> str:
    """Return `text` if it is a reference; raises ValueError."""
    scheme, _, place = text.partition(":")
    if scheme not in ("env", "file") or not place:
        raise ValueError("a secret has to be given as env:NAME or file:PATH, never itself")
    return text


def resolve(reference: str, folder: Path) -> str:
    """Read a secret; a relative `file:` path is relative to `folder`. Raises SecretUnavailable."""
    scheme, _, place = reference.partition(":")
    if scheme == "env":
        secret = os.environ.get(place, "")
        where = f"environment variable {place}"
    else:
        path = folder / place
        where = f"file {path}"
        try:
            secret = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SecretUnavailable(f"{where} cannot be read") from None
    if not secret:
        raise SecretUnavailable(f"{where} is not set or empty")
    return secret
