"""Checkpoints (C2SP tlog-checkpoint): what the tree was at one moment, as the text of a signed note. Pure.

    panless/audit/UUID          the log's origin
    SIZE                        how many events it had
    BASE64(root)                RFC 6962
    time 2026-01-31T12:00:00.000000Z

The last line is an extension: an export that was replayed or cut off shows how old it is. Signatures are not checked
here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from vault.audit.event import timestamp
from vault.audit.tree import HASH_BYTES, Tree

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class CheckpointRejected(ValueError):
    """It is no checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`note` is the text with its signatures, as it was read."""

    origin: str
    size: int
    root: bytes
    at: datetime | None
    note: str


def checkpoint_text(origin: str, tree: Tree, at: datetime) -> str:
    """Return the text that is signed."""
    root = base64.b64encode(tree.root()).decode()
    return f"{origin}\n{tree.size}\n{root}\ntime {timestamp(at)}\n"


def read_checkpoint(note: str) -> Checkpoint:
    """Read a note; raises CheckpointRejected."""
    match note.partition("\n\n")[0].split("\n"):
        case [origin, size, root, *extensions] if origin and _SIZE.fullmatch(size):
            return Checkpoint(origin, int(size), _hash(root), _time(extensions), note)
    raise CheckpointRejected("it is no checkpoint")


def split_notes(text: str) -> list[str]:
    """Return the notes of a file: each is a text, an empty line and signatures; empty lines are between them."""
    blocks = [block.strip("\n") for block in re.split(r"\n{2,}", text) if block.strip("\n")]
    return [f"{body}\n\n{signatures}\n" for body, signatures in zip(blocks[::2], [*blocks[1::2], ""], strict=False)]


def start_document(tree: Tree) -> str:
    """Return what an export that begins later says of the tree before it."""
    return json.dumps({"size": tree.size, "peaks": [peak.hex() for peak in tree.peaks]}) + "\n"


def read_start(text: str) -> Tree:
    """Read it; raises CheckpointRejected."""
    try:
        document = json.loads(text)
        if not isinstance(document, Mapping):
            raise CheckpointRejected("it is no start.json")
        return Tree(int(document["size"]), [bytes.fromhex(peak) for peak in document["peaks"]])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise CheckpointRejected("it is no start.json") from None


def _hash(text: str) -> bytes:
    try:
        root = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        root = b""
    if len(root) != HASH_BYTES:
        raise CheckpointRejected("its root is no hash")
    return root


def _time(extensions: list[str]) -> datetime | None:
    for line in extensions:
        if line.startswith("time "):
            try:
                return datetime.strptime(line[5:], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
            except ValueError:
                raise CheckpointRejected("its time is none") from None
    return None
