"""Audit logs made for tests: real chains, a real tree, checkpoints signed with a key of the test's own."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from vault.audit.chain import Head, extend, leaf_hash
from vault.audit.checkpoint import checkpoint_text, start_document
from vault.audit.event import Event, Outcome, canonical
from vault.audit.tree import Tree
from vault.crypto import signed_note

BEGIN = datetime(2024, 7, 12, 8, 0, tzinfo=UTC)
SECRET = hashlib.sha256(b"the signing key of a test").digest()
NAME = "panless-test"
KEY = signed_note.verifier_key(NAME, signed_note.public_key(SECRET))
ORIGIN = "panless/audit/0190a5c4-7f00-7abc-8def-000000000001"


def event(number: int, app: str = "shop") -> Event:
    return Event(
        at=BEGIN + timedelta(seconds=number),
        action=("tokenize", "reveal")[number % 2],
        outcome=(Outcome.PERMITTED, Outcome.DENIED)[number % 3 == 2],
        app=app,
        route="gateway",
        request_id=f"req-{number}",
    )


def chain_id(number: int) -> UUID:
    return UUID(int=(0x0190A5C47F00 + number << 80) | (7 << 76) | (2 << 62) | number)


def note_of(tree: Tree, minute: int, *, secret: bytes = SECRET, origin: str = ORIGIN) -> str:
    return signed_note.sign(checkpoint_text(origin, tree, BEGIN + timedelta(minutes=minute)), NAME, secret)


@dataclass
class Log:
    """Bodies in the order of the tree, the checkpoints' notes, and the trees that those were made of."""

    bodies: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    heads: dict[UUID, Head] = field(default_factory=dict)

    def grow(self, counts: Sequence[int], *, app: str = "shop") -> Log:
        """Append this many events to each chain, by number, and a checkpoint over them."""
        tree = Tree(self.trees[-1].size, self.trees[-1].peaks) if self.trees else Tree()
        before = [head for head in self.heads.values() if head.seq]
        for number, count in enumerate(counts):
            head = self.heads.get(chain_id(number)) or Head(chain_id(number))
            for _ in range(count):
                link = extend(head, event(len(self.bodies), app), before)
                self.bodies.append(link.body)
                tree.append(leaf_hash(link.body))
                head = link.head
            self.heads[head.chain] = head
            if count:
                before = [head]
        self.trees.append(tree)
        self.notes.append(note_of(tree, len(self.notes)))
        return self

    def copy(self) -> Log:
        return Log(list(self.bodies), list(self.notes), list(self.trees), dict(self.heads))

    def chain_of(self, index: int) -> str:
        return json.loads(self.bodies[index])["chain"]

    def write(self, folder: Path, *, begin: int | None = None) -> Path:
        """Write it as an export; from checkpoint `begin` (from 0) on, if that is given."""
        folder.mkdir(parents=True, exist_ok=True)
        bodies, notes = self.bodies, self.notes
        if begin is not None:
            bodies, notes = bodies[self.trees[begin].size :], notes[begin:]
            (folder / "start.json").write_text(start_document(self.trees[begin]))
        (folder / "events.jsonl").write_bytes(b"".join(body + b"\n" for body in bodies))
        (folder / "checkpoints").write_text("\n".join(notes))
        (folder / "keys").write_text(KEY + "\n")
        return folder


def a_log() -> Log:
    """Four chains under four checkpoints: 21 events, two processes side by side for a while, then others."""
    return Log().grow([3]).grow([2, 1, 4]).grow([0, 0, 3, 2]).grow([0, 0, 0, 6])


def rewritten(body: bytes, **members: object) -> bytes:
    return canonical({**json.loads(body), **members})


def relink(bodies: list[bytes], chain: str) -> None:
    """Give every event of a chain the number and previous hash that its place asks for."""
    seq, prev = 0, bytes(32)
    for place, body in enumerate(bodies):
        if json.loads(body)["chain"] == chain:
            seq += 1
            bodies[place] = rewritten(body, seq=seq, prev=prev.hex())
            prev = leaf_hash(bodies[place])


HOWS = (
    "edit",
    "edit_relinked",
    "flip",
    "delete",
    "delete_relinked",
    "delete_many",
    "swap",
    "insert",
    "copy",
    "cut",
    "drop_note",
    "note",
    "notes_swapped",
    "signed_by_another",
    "shuffle",
)


def tamper(log: Log, chance: random.Random) -> str:  # noqa: PLR0912  # as many as there are ways
    """Change an export in one random way, and say which."""
    how, at, bodies = chance.choice(HOWS), chance.randrange(len(log.bodies)), log.bodies
    chain = log.chain_of(at)
    match how:
        case "edit":
            bodies[at] = rewritten(bodies[at], app=f"other-{chance.random()}")
        case "edit_relinked":
            bodies[at] = rewritten(bodies[at], app=f"other-{chance.random()}")
            relink(bodies, chain)
        case "flip":
            changed = bytearray(bodies[at])
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            bodies[at] = bytes(changed)
        case "delete":
            del bodies[at]
        case "delete_relinked":
            del bodies[at]
            relink(bodies, chain)
        case "delete_many":
            del bodies[at : at + chance.randrange(2, 6)]
        case "swap":
            other = chance.choice([place for place in range(len(bodies)) if place != at])
            bodies[at], bodies[other] = bodies[other], bodies[at]
        case "shuffle":
            before = list(bodies)
            while bodies == before:
                chance.shuffle(bodies)
        case "insert":
            bodies.insert(at, rewritten(bodies[at], app="inserted"))
            relink(bodies, chain)
        case "copy":
            bodies.insert(chance.randrange(len(bodies) + 1), bodies[at])
        case "cut":
            del bodies[at:]
        case _:
            _tamper_with_notes(log, how, chance)
    return f"{how} {at}"


def _tamper_with_notes(log: Log, how: str, chance: random.Random) -> None:
    at = chance.randrange(len(log.notes))
    match how:
        case "drop_note":  # the newest one: of the others the tree shows that they were not needed
            log.notes.pop()
        case "note":
            lines = log.notes[at].split("\n")
            lines[1] = str(int(lines[1]) + chance.choice([-1, 1]))
            log.notes[at] = "\n".join(lines)
        case "notes_swapped":
            other = chance.choice([place for place in range(len(log.notes)) if place != at])
            log.notes[at], log.notes[other] = log.notes[other], log.notes[at]
        case "signed_by_another":
            log.notes[at] = note_of(log.trees[at], at, secret=bytes(32))
