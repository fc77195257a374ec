"""Checkpoints and proofs as text: what is written is read, and nothing else is."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from tests.harness.audit_log import KEY, a_log, note_of
from vault.audit.chain import leaf_hash
from vault.audit.checkpoint import (
    CheckpointRejected,
    checkpoint_text,
    read_checkpoint,
    read_start,
    split_notes,
    start_document,
)
from vault.audit.proof import proof_text, read_proof
from vault.audit.tree import Leaves, ProofRejected, Tree
from vault.crypto import signed_note


def test_the_text_is_that_of_tlog_checkpoint():
    text = checkpoint_text("panless/audit/x", Tree.of([leaf_hash(b"")]), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    root = base64.b64encode(bytes.fromhex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")).decode()
    assert text == f"panless/audit/x\n1\n{root}\ntime 2026-01-02T03:04:05.000000Z\n"


def test_a_note_is_read_as_it_was_signed():
    tree = Tree.of([leaf_hash(b"a"), leaf_hash(b"b")])
    note = note_of(tree, 3)
    read = read_checkpoint(note)
    assert (read.size, read.root, read.note) == (2, tree.root(), note)
    assert signed_note.verify(note, KEY) == note.partition("\n\n")[0] + "\n"


def test_notes_are_separated_whatever_stands_between_them():
    notes = a_log().notes
    assert split_notes("\n".join(notes)) == notes
    assert split_notes("\n\n\n".join(notes) + "\n\n") == notes
    assert split_notes("") == []


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "o\n1",
        f"o\n01\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n1\n{ROOT[:-4]}\n",
        "o\n1\nAAAA\n",
        f"\n1\n{ROOT}\n",
        f"o\n1\n{ROOT}\ntime yesterday\n",
        f"o\n\u0661\n{ROOT}\n",
        f"o\n{'9' * 20}\n{ROOT}\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(CheckpointRejected):
        read_checkpoint(text)


def test_the_tree_before_an_export_is_read_as_it_was_written():
    tree = Tree.of([leaf_hash(bytes([number])) for number in range(11)])
    read = read_start(start_document(tree))
    assert (read.size, read.peaks) == (tree.size, tree.peaks)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"size": 1, "peaks": []}', '{"size": "x", "peaks": []}', "[" * 10_000]
)
def test_what_is_no_tree_is_refused(text):
    with pytest.raises(CheckpointRejected):
        read_start(text)


def proof_of(index):
    log = a_log()
    path = Leaves(Tree(), [leaf_hash(body) for body in log.bodies]).inclusion(index)
    return log.bodies[index], proof_text(log.bodies[index], index, path, log.notes[-1])


@pytest.mark.parametrize("index", [0, 5, 20])
def test_a_proof_leads_from_the_event_to_the_checkpoint(index):
    body, text = proof_of(index)
    assert text.startswith(f"c2sp.org/tlog-proof@v1\nextra {base64.b64encode(body).decode()}\nindex {index}\n")
    read = read_proof(text)
    assert (read.body, read.index, read.checkpoint.note) == (body, index, a_log().notes[-1])


def test_a_proof_that_was_changed_anywhere_is_refused():
    _, text = proof_of(5)
    body = base64.b64encode(a_log().bodies[6]).decode()
    lines = text.split("\n")
    for wrong in (
        text.replace("index 5", "index 6"),
        text.replace("index 5", "index -5"),
        text.replace("@v1", "@v2"),
        "\n".join([lines[0], f"extra {body}", *lines[2:]]),
        "\n".join([*lines[:3], *lines[4:]]),
        text.partition("\n\n")[0],
        "",
    ):
        with pytest.raises(ProofRejected):
            read_proof(wrong)
