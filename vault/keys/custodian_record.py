"""The public record of key ceremonies: which KEKs there are, and who holds their shares. It holds no share.

JSON: `format`, and `keks`, the newest last. Of each: `id`, `made_at`, `threshold`, `custodians` (names, in the order of
their shares), `identifier` of the set of shares, and `check`, which proves a KEK before it is used: a constant, sealed
under it with all the other members as associated data.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vault.crypto import aead
from vault.crypto.encoding import length_prefixed
from vault.errors import KeyUnavailable
from vault.keys import durable
from vault.tokens import uuid7

FORMAT = "panless-custodians-1"
ID_PREFIX = "custodians_"
_CONSTANT = b"panless custodians"


@dataclass(frozen=True, slots=True)
class KekRecord:
    """One KEK. `made_at` is RFC 3339 in UTC."""

    id: str
    made_at: str
    threshold: int
    custodians: tuple[str, ...]
    identifier: int
    check: bytes = b""

    @classmethod
    def of(cls, kek: bytes, threshold: int, custodians: Sequence[str], identifier: int) -> KekRecord:
        """Return the record of a new KEK."""
        made_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        record = cls(f"{ID_PREFIX}{uuid7().hex}", made_at, threshold, tuple(custodians), identifier)
        return cls(*record._public(), aead.encrypt(kek, _CONSTANT, record._context()))

    @classmethod
    def from_document(cls, document: Any) -> KekRecord:
        """Raises KeyError, TypeError or ValueError if it is none."""
        record = cls(
            str(document["id"]),
            str(document["made_at"]),
            int(document["threshold"]),
            tuple(str(name) for name in document["custodians"]),
            int(document["identifier"]),
            base64.b64decode(document["check"], validate=True),
        )
        if not record.id.startswith(ID_PREFIX) or not 2 <= record.threshold <= len(record.custodians):
            raise ValueError
        return record

    def document(self) -> dict[str, object]:
        """Return the members as they are written."""
        return {
            "id": self.id,
            "made_at": self.made_at,
            "threshold": self.threshold,
            "count": len(self.custodians),
            "custodians": list(self.custodians),
            "identifier": self.identifier,
            "check": base64.b64encode(self.check).decode(),
        }

    def proves(self, kek: bytes) -> bool:
        """Tell whether this is the record of a KEK, unchanged."""
        try:
            return aead.decrypt(kek, self.check, self._context()) == _CONSTANT
        except (aead.DoesNotOpen, ValueError):
            return False

    def _public(self) -> tuple[str, str, int, tuple[str, ...], int]:
        return self.id, self.made_at, self.threshold, self.custodians, self.identifier

    def _context(self) -> bytes:
        numbers = (str(self.threshold), str(self.identifier))
        return length_prefixed(*(part.encode() for part in (FORMAT, self.id, self.made_at, *numbers, *self.custodians)))


def read_record(path: Path) -> list[KekRecord]:
    """Return the KEKs, the newest last; raises KeyUnavailable."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read()
    except FileNotFoundError:
        raise _unusable(f"there is no file {path}; `panless keys ceremony` makes it") from None
    except OSError:
        raise _unusable(f"file {path} cannot be read") from None
    if status.st_uid not in (0, os.geteuid()):
        raise _unusable(f"file {path} belongs to another user than the one that runs Panless")
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise _unusable(f"others may write to file {path}; run chmod go-w on it")
    return _parsed(text, path)


def append_record(path: Path, record: KekRecord) -> None:
    """Add a KEK to the record, which is made if it is not there; raises KeyUnavailable."""
    try:
        with durable.locked(path):
            if path.exists():
                durable.replace(path, _written([*read_record(path), record]))
            else:
                durable.write_new(path, _written([record]), 0o644)
    except OSError:
        raise _unusable(f"file {path} cannot be written") from None


def _written(records: Sequence[KekRecord]) -> bytes:
    document = {"format": FORMAT, "keks": [record.document() for record in records]}
    return (json.dumps(document, indent=2) + "\n").encode()


def _parsed(text: bytes, path: Path) -> list[KekRecord]:
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError
        records = [KekRecord.from_document(each) for each in document["keks"]]
    except (KeyError, TypeError, ValueError):
        records = []
    if not records:
        raise _unusable(f"file {path} is not the record of a key ceremony")
    return records


def _unusable(reason: str) -> KeyUnavailable:
    return KeyUnavailable(key="kek", reason=reason)
