"""History cannot be rewritten unseen (promise 9): what was done to an export is named, by us and by the script."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.harness.audit_log import BEGIN, KEY, Log, a_log, chain_id, note_of, relink, rewritten, tamper
from vault.audit.findings import Kind
from vault.errors import AuditEvidenceUnreadable
from vault.upkeep.evidence import Demands, Report, verify_export, verify_proof

SCRIPT = Path(__file__).parents[3] / "docs" / "audit" / "verify_audit.py"
_spec = importlib.util.spec_from_file_location("verify_audit", SCRIPT)
verify_audit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(verify_audit)


def verified(folder: Path, anchors: Sequence[Path] = (), **demands) -> Report:
    return verify_export(folder, Demands([KEY], anchors, **demands))


def by_the_script(folder: Path, anchors: Sequence[Path] = ()) -> list[str]:
    try:
        return verify_audit.verify(folder, folder / "keys", anchors)[1]
    except (ValueError, KeyError, TypeError):
        return ["unreadable"]


def is_found(folder: Path, anchors: Sequence[Path] = ()) -> bool:
    try:
        found = bool(verified(folder, anchors).findings)
    except AuditEvidenceUnreadable:
        found = True
    assert found == bool(by_the_script(folder, anchors)), "the script says something else"
    return found


def anchor(folder: Path, notes: Sequence[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "anchors").write_text("\n".join(notes))
    return folder / "anchors"


def test_an_untouched_log_gives_nothing(tmp_path):
    report = verified(a_log().write(tmp_path))
    assert report.findings == []
    assert (report.events, report.chains, report.checkpoints, report.size) == (21, 4, 4, 21)
    assert report.at == BEGIN + timedelta(minutes=3)
    assert by_the_script(tmp_path) == []


@pytest.mark.parametrize("begin", [0, 1, 2])
def test_a_log_that_begins_later_gives_nothing(tmp_path, begin):
    report = verified(a_log().write(tmp_path, begin=begin))
    assert (report.findings, report.begins) == ([], [3, 10, 15][begin])
    assert by_the_script(tmp_path) == []


def test_checkpoints_of_the_log_itself_as_anchors_give_nothing(tmp_path):
    log = a_log()
    anchors = [anchor(tmp_path / "a", log.notes)]
    assert not is_found(log.write(tmp_path / "whole"), anchors)
    assert not is_found(log.write(tmp_path / "later", begin=1), anchors)


# name -> (what is done to the log, which finding has to be there: its kind, and the chain and number that it names)
def edit(log: Log) -> None:
    log.bodies[4] = rewritten(log.bodies[4], app="somebody-else")


def edit_the_last_of_a_chain(log: Log) -> None:
    log.bodies[20] = rewritten(log.bodies[20], app="somebody-else")


def edit_and_relink(log: Log) -> None:
    log.bodies[16] = rewritten(log.bodies[16], app="somebody-else")
    relink(log.bodies, log.chain_of(16))


def edit_and_relink_a_chain_that_another_one_names(log: Log) -> None:
    log.bodies[6] = rewritten(log.bodies[6], app="somebody-else")
    relink(log.bodies, log.chain_of(6))


def respace(log: Log) -> None:
    log.bodies[12] = json.dumps(json.loads(log.bodies[12]), sort_keys=True).encode()


def not_json(log: Log) -> None:
    log.bodies[12] = b"\xff"


def nested_too_deep(log: Log) -> None:
    log.bodies[12] = b"[" * 200_000


def strange_numbers(log: Log) -> None:
    log.bodies[12] = rewritten(log.bodies[12], seq="1", chain=None)


def delete_the_first(log: Log) -> None:
    del log.bodies[0]


def delete_in_the_middle(log: Log) -> None:
    del log.bodies[7]


def delete_in_the_middle_and_relink(log: Log) -> None:
    chain = log.chain_of(14)
    del log.bodies[14]
    relink(log.bodies, chain)


def delete_a_whole_chain(log: Log) -> None:
    log.bodies[:] = [body for body in log.bodies if json.loads(body)["chain"] != SECOND]


def delete_the_last(log: Log) -> None:
    del log.bodies[-1]


def delete_the_newest_checkpoints_events(log: Log) -> None:
    del log.bodies[15:]


def reorder(log: Log) -> None:
    log.bodies[7], log.bodies[8] = log.bodies[8], log.bodies[7]


def reorder_chains(log: Log) -> None:
    log.bodies[3:10] = [*log.bodies[5:10], *log.bodies[3:5]]


def insert(log: Log) -> None:
    log.bodies.insert(7, rewritten(log.bodies[7], app="inserted"))


def insert_and_relink(log: Log) -> None:
    log.bodies.insert(14, rewritten(log.bodies[14], app="inserted"))
    relink(log.bodies, log.chain_of(14))


def append(log: Log) -> None:
    log.grow([0, 0, 0, 1])
    log.notes.pop()


def drop_the_newest_checkpoint(log: Log) -> None:
    log.notes.pop()


def reorder_checkpoints(log: Log) -> None:
    log.notes[1:3] = log.notes[2:0:-1]


def sign_with_another_key(log: Log) -> None:
    log.notes[2] = note_of(log.trees[2], 2, secret=bytes(32))


def sign_no_checkpoint(log: Log) -> None:
    log.notes[:] = []


def change_a_signed_size(log: Log) -> None:
    log.notes[3] = log.notes[3].replace("\n21\n", "\n20\n")


def another_origin(log: Log) -> None:
    log.notes[1] = note_of(log.trees[1], 1, origin="panless/audit/another")


FIRST, SECOND, THIRD = (str(chain_id(number)) for number in range(3))
TAMPERINGS: list[tuple[Callable[[Log], None], Kind, str | None, int | None]] = [
    (edit, Kind.CHANGED, FIRST, 5),
    (edit_the_last_of_a_chain, Kind.CHANGED, None, None),
    (edit_and_relink, Kind.CHANGED, None, None),
    (edit_and_relink_a_chain_that_another_one_names, Kind.CHANGED, THIRD, 7),
    (respace, Kind.CHANGED, THIRD, 7),
    (not_json, Kind.CHANGED, None, None),
    (nested_too_deep, Kind.CHANGED, None, None),
    (strange_numbers, Kind.CHANGED, None, None),
    (delete_the_first, Kind.MISSING, FIRST, 1),
    (delete_in_the_middle, Kind.MISSING, THIRD, 2),
    (delete_in_the_middle_and_relink, Kind.MISSING, None, None),
    (delete_a_whole_chain, Kind.MISSING, SECOND, 1),
    (delete_the_last, Kind.CUT_OFF, None, None),
    (delete_the_newest_checkpoints_events, Kind.CUT_OFF, None, None),
    (reorder, Kind.REORDERED, THIRD, 2),
    (reorder_chains, Kind.REORDERED, FIRST, 4),
    (insert, Kind.INSERTED, THIRD, 2),
    (insert_and_relink, Kind.INSERTED, None, None),
    (append, Kind.INSERTED, None, None),
    (drop_the_newest_checkpoint, Kind.INSERTED, None, None),
    (reorder_checkpoints, Kind.REORDERED, None, None),
    (sign_with_another_key, Kind.UNSIGNED, None, None),
    (sign_no_checkpoint, Kind.UNSIGNED, None, None),
    (change_a_signed_size, Kind.UNSIGNED, None, None),
    (another_origin, Kind.FORKED, None, None),
]


@pytest.mark.parametrize(("done", "kind", "chain", "seq"), TAMPERINGS, ids=[each[0].__name__ for each in TAMPERINGS])
def test_tampering_is_named_with_its_place(tmp_path, done, kind, chain, seq):
    log = a_log()
    done(log)
    findings = verified(log.write(tmp_path)).findings
    assert (kind, chain, seq) in [(each.kind, each.chain, each.seq) for each in findings], findings
    assert by_the_script(tmp_path)


def test_nothing_but_what_was_done_is_named(tmp_path):
    log = a_log()
    delete_in_the_middle(log)
    (finding,) = verified(log.write(tmp_path)).findings
    assert str(finding) == f"missing: chain {THIRD} event 2: events 2 to 2 of the chain are not there"


# What an export that is whole in itself cannot show, anchors do.


def test_an_old_export_that_is_replayed_is_cut_off(tmp_path):
    log = a_log()
    old = log.copy()
    del old.notes[2:], old.bodies[old.trees[1].size :]
    folder = old.write(tmp_path / "old")
    assert not is_found(folder)
    newer = anchor(tmp_path, log.notes[3:])
    assert [each.kind for each in verified(folder, [newer]).findings] == [Kind.CUT_OFF]
    assert is_found(folder, [newer])
    (finding,) = verified(folder, newer_than=BEGIN + timedelta(minutes=2)).findings
    assert finding.kind is Kind.CUT_OFF
    assert verified(folder, newer_than=BEGIN + timedelta(minutes=1)).findings == []


@pytest.mark.parametrize("counts", [[0, 0, 0, 0, 5], [0, 0, 0, 0, 40]])
def test_an_old_backup_that_goes_on_is_another_history(tmp_path, counts):
    """Restored after checkpoint 1, it goes on in a chain of its own; anchors saw what was before."""
    log, restored = a_log(), Log().grow([3]).grow([2, 1, 4])
    restored.grow(counts)
    folder = restored.write(tmp_path / "restored")
    assert not is_found(folder)
    newer = anchor(tmp_path, log.notes)
    assert Kind.FORKED in {each.kind for each in verified(folder, [newer]).findings}
    assert is_found(folder, [newer])


def test_two_panless_with_one_signing_key_are_two_histories(tmp_path):
    one = a_log()
    other = one.copy().grow([0, 0, 0, 0, 3], app="other")
    one.grow([0, 0, 0, 3])
    for log, against in ((one, other), (other, one)):
        folder = log.write(tmp_path / str(id(log)))
        assert not is_found(folder)
        both = anchor(tmp_path, [*log.notes, *against.notes[-1:]])
        assert [each.kind for each in verified(folder, [both]).findings] == [Kind.FORKED]
        assert is_found(folder, [both])


def test_a_history_that_whoever_has_the_key_made_anew_is_not_that_of_the_anchors(tmp_path):
    folder = Log().grow([9], app="innocent").grow([12], app="innocent").write(tmp_path / "forged")
    assert not is_found(folder)
    anchors = [anchor(tmp_path, a_log().notes)]
    assert Kind.FORKED in {each.kind for each in verified(folder, anchors).findings}
    assert is_found(folder, anchors)


def test_an_anchor_without_a_checkpoint_holds_nothing_against_the_log_and_is_no_anchor(tmp_path):
    """A file that was emptied, or was never written to, would let every log through."""
    folder = a_log().write(tmp_path / "export")
    assert not is_found(folder)
    for empty in ([], ["\n\n"]):
        assert is_found(folder, [anchor(tmp_path, empty)])


def test_an_anchor_that_nobody_has_signed_is_named(tmp_path):
    log = a_log()
    forged = anchor(tmp_path, [note_of(log.trees[3], 3, secret=bytes(32))])
    assert [each.kind for each in verified(log.write(tmp_path / "e"), [forged]).findings] == [Kind.UNSIGNED]


@pytest.mark.parametrize("begin", [0, 1, 2])
def test_another_beginning_than_was_signed_is_found(tmp_path, begin):
    log = a_log()
    folder = log.write(tmp_path, begin=begin)
    start = json.loads((folder / "start.json").read_text())
    start["peaks"][0] = "00" * 32
    (folder / "start.json").write_text(json.dumps(start))
    assert is_found(folder)
    (folder / "start.json").unlink()
    assert is_found(folder)


def test_a_start_of_which_no_checkpoint_is_there_is_found(tmp_path):
    folder = a_log().write(tmp_path, begin=1)
    notes = (folder / "checkpoints").read_text().split("\n\n")
    (folder / "checkpoints").write_text("\n\n".join(notes[2:]))
    assert is_found(folder)


@pytest.mark.parametrize("decade", range(10))
def test_a_thousand_random_tamperings_are_found(tmp_path, decade):
    """Of 100 each, by the verifier and by the script."""
    for seed in range(decade * 100, decade * 100 + 100):
        chance = random.Random(seed)  # noqa: S311  # the same every time
        log = a_log()
        done = tamper(log, chance)
        assert is_found(log.write(tmp_path)), f"{seed}: {done}"


def test_a_proof_needs_a_signature(tmp_path):
    from vault.audit.chain import leaf_hash
    from vault.audit.proof import proof_text
    from vault.audit.tree import Leaves, Tree

    log = a_log()
    path = Leaves(Tree(), [leaf_hash(body) for body in log.bodies]).inclusion(8)
    file = tmp_path / "proof"
    file.write_text(proof_text(log.bodies[8], 8, path, log.notes[-1]))
    proof, findings = verify_proof(file, [KEY])
    assert (proof.body, proof.index, findings) == (log.bodies[8], 8, [])
    file.write_text(proof_text(log.bodies[8], 8, path, note_of(log.trees[3], 3, secret=bytes(32))))
    assert [each.kind for each in verify_proof(file, [KEY])[1]] == [Kind.UNSIGNED]
    file.write_text(proof_text(log.bodies[9], 8, path, log.notes[-1]))
    assert [each.kind for each in verify_proof(file, [KEY])[1]] == [Kind.CHANGED]
    file.write_text(proof_text(log.bodies[8], 8, path, log.notes[-1]) * 2)
    with pytest.raises(AuditEvidenceUnreadable):  # no verdict on the first one alone
        verify_proof(file, [KEY])


def test_the_script_is_short_and_stands_alone(tmp_path):
    text = SCRIPT.read_text()
    assert len(text.splitlines()) < 200
    assert "vault" not in text.replace("Panless's", "")
    folder = a_log().write(tmp_path)
    command = [sys.executable, "-I", str(SCRIPT), str(folder), str(folder / "keys")]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "21 events: whole and unchanged.\n")
    (folder / "events.jsonl").write_bytes((folder / "events.jsonl").read_bytes().replace(b"req-7", b"req-8"))
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"changed: chain {THIRD} event 2" in done.stdout
