"""Proofs that one event is in the log (C2SP tlog-proof): its body, the path to the root, the checkpoint. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from vault.audit.chain import leaf_hash
from vault.audit.checkpoint import Checkpoint, CheckpointRejected, read_checkpoint
from vault.audit.tree import ProofRejected, check_inclusion

FIRST_LINE = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Proof:
    """An event's canonical body, its index, and the checkpoint that covers it. Signatures are not checked here."""

    body: bytes
    index: int
    checkpoint: Checkpoint


def proof_text(body: bytes, index: int, path: Sequence[bytes], note: str) -> str:
    """Return the proof; the body is its extra data."""
    lines = [FIRST_LINE, f"extra {_encoded(body)}", f"index {index}", *map(_encoded, path), "", note]
    return "\n".join(lines)


def read_proof(text: str) -> Proof:
    """Read a proof and follow its path; raises ProofRejected."""
    head, _, note = text.partition("\n\n")
    match head.split("\n"):
        case [first, extra, index, *path] if first == FIRST_LINE and extra[:6] == "extra " and index[:6] == "index ":
            body = _decoded(extra[6:])
        case _:
            raise ProofRejected
    try:
        checkpoint = read_checkpoint(note)
        number = int(index[6:])
    except (CheckpointRejected, ValueError):
        raise ProofRejected from None
    check_inclusion(leaf_hash(body), number, checkpoint.size, [_decoded(line) for line in path], checkpoint.root)
    return Proof(body, number, checkpoint)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProofRejected from None
