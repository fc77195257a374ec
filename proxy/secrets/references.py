"""References to secrets: `env:NAME`, `file:PATH`, `transit-kv:PATH#FIELD`, `aws-secrets:NAME`, with `#FIELD` or not."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

LOCAL = ("env", "file")
MANAGED = ("transit-kv", "aws-secrets")
REFERENCE = "^(env|file|transit-kv|aws-secrets):.+"
_GIVEN = "a secret has to be given as env:NAME or file:PATH, never itself"
_PATH = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9/_+=.@:-]+", re.ASCII)
_FIELD = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


class SecretUnavailable(ValueError):
    """The secret is not where the reference says; the message names the place, never what was found."""


@dataclass(frozen=True, slots=True)
class Managed:
    """Where a secrets manager keeps a secret: `place` is a path or a name, `field` one of what is there."""

    scheme: str
    place: str
    field: str


def check_local(text: str) -> str:
    """Return `text` if it is a reference to this machine; raises ValueError."""
    scheme, _, place = text.partition(":")
    if scheme not in LOCAL or not place:
        raise ValueError(_GIVEN)
    return text


def check_reference(text: str) -> str:
    """Return `text` if it is a reference; raises ValueError."""
    scheme, _, place = text.partition(":")
    if scheme not in (*LOCAL, *MANAGED) or not place:
        raise ValueError(f"{_GIVEN}; or as transit-kv:PATH#FIELD or aws-secrets:NAME#FIELD")
    if scheme in MANAGED:
        managed(text)
    return text


def managed(text: str) -> Managed:
    """Read a reference to a secrets manager; raises ValueError."""
    scheme, _, rest = text.partition(":")
    place, has_field, field = rest.partition("#")
    if scheme == "transit-kv":
        if not _PATH.fullmatch(place) or {".", ".."} & set(place.split("/")) or not _FIELD.fullmatch(field):
            raise ValueError("a secret of OpenBao or Vault is given as transit-kv:PATH#FIELD, made of plain names")
    elif not _NAME.fullmatch(place) or (has_field and not _FIELD.fullmatch(field)):
        raise ValueError("a secret of AWS is given as aws-secrets:NAME or aws-secrets:NAME#FIELD")
    return Managed(scheme, place, field)


def resolve(reference: str, folder: Path) -> str:
    """Read a secret of this machine; a relative `file:` path is relative to `folder`. Raises SecretUnavailable."""
    scheme, _, place = reference.partition(":")
    if scheme == "env":
        secret = os.environ.get(place, "")
        where = f"environment variable {place}"
    elif scheme == "file":
        path = folder / place
        where = f"file {path}"
        try:
            secret = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SecretUnavailable(f"{where} cannot be read") from None
    else:
        raise SecretUnavailable(f"{reference} was not fetched")
    if not secret:
        raise SecretUnavailable(f"{where} is not set or empty")
    return secret
