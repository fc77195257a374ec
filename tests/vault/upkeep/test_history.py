"""Tampering in the database is found there; exports and proofs of it verify without it."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from tests.harness.verified import verified
from vault.audit.chain import leaf_hash
from vault.audit.event import canonical
from vault.audit.findings import Kind
from vault.errors import AuditEventNotFound, AuditExportRefused, AuditLogChanged
from vault.upkeep.evidence import Demands, verify_export, verify_proof
from vault.upkeep.export import export, prove
from vault.upkeep.history import keys_of_database, verify_history

# What is done by whoever owns the tables -> the kind that has to be named, None: any.
TAMPERINGS = [
    ("DELETE FROM audit_events WHERE seq = 3", Kind.MISSING),
    ("DELETE FROM audit_events WHERE seq = 5", None),
    ("DELETE FROM audit_events WHERE chain = (SELECT chain FROM audit_events ORDER BY chain LIMIT 1)", Kind.MISSING),
    ("UPDATE audit_events SET app = 'innocent' WHERE seq = 3", Kind.CHANGED),
    ("UPDATE audit_events SET tokens = '{tok_x}' WHERE seq = 2", Kind.CHANGED),
    ("UPDATE audit_events SET tokens = ARRAY[NULL]::text[] WHERE seq = 2", Kind.CHANGED),
    ("UPDATE audit_events SET at = at + interval '1 microsecond' WHERE seq = 2", Kind.CHANGED),
    # Years that Python has not.
    ("UPDATE audit_events SET at = 'infinity' WHERE seq = 2", Kind.CHANGED),
    ("UPDATE audit_events SET at = '-infinity' WHERE seq = 2", Kind.CHANGED),
    ("UPDATE audit_events SET at = '4713-01-01 BC' WHERE seq = 2", Kind.CHANGED),
    ("UPDATE audit_events SET body = '' WHERE seq = 2", Kind.CHANGED),
    (
        "UPDATE audit_events SET body = convert_to('null', 'UTF8'), hash = sha256('\\x006e756c6c') WHERE seq = 2",
        Kind.CHANGED,
    ),
    ("UPDATE audit_events SET hash = '' WHERE seq = 2", Kind.CHANGED),
    ("UPDATE audit_events SET seq = -seq WHERE seq = 2", Kind.MISSING),
    ("UPDATE audit_events SET chain = gen_random_uuid() WHERE seq = 2", Kind.MISSING),
]
# What only shows because it was signed.
OF_CHECKPOINTS = [
    ("DELETE FROM audit_events WHERE seq > 3", Kind.CUT_OFF),
    ("UPDATE audit_ranges SET start = start + 100 WHERE start > 0", None),
    ("UPDATE audit_ranges SET last = last - 1 WHERE last > 2", None),
    ("DELETE FROM audit_ranges WHERE start > 0", None),
    ("UPDATE audit_checkpoints SET note = replace(note, 'panless/audit', 'another/audit')", Kind.UNSIGNED),
    ("UPDATE audit_checkpoints SET note = replace(note, E'\\n6\\n', E'\\n5\\n')", Kind.UNSIGNED),
]


async def recorded(vault, context, count=5):
    for _ in range(count):
        await vault.record("start", context)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "not signed yet"])
@pytest.mark.parametrize(("sql", "kind"), TAMPERINGS, ids=[each[0] for each in TAMPERINGS])
async def test_tampering_in_the_database_is_found_there(vault, database, owner, context, sql, kind, signed):
    await recorded(vault, context)
    if signed:
        await vault.checkpointing.make()
    assert (await verified(database)).findings == []
    assert not (await owner.execute(sql)).endswith(" 0")
    kinds = {each.kind for each in (await verified(database)).findings}
    if signed or kind is not None:  # the end of a chain that nobody has signed can be cut off
        assert kinds and kind in {None, *kinds}


@pytest.mark.parametrize(("sql", "kind"), OF_CHECKPOINTS, ids=[each[0] for each in OF_CHECKPOINTS])
async def test_tampering_with_what_was_signed_is_found(vault, database, owner, context, sql, kind):
    await recorded(vault, context)
    await vault.checkpointing.make()
    assert (await verified(database)).findings == []
    assert not (await owner.execute(sql)).endswith(" 0")
    kinds = {each.kind for each in (await verified(database)).findings}
    assert kinds and kind in {None, *kinds}


@pytest.mark.parametrize("start", [-(2**40), 2**62], ids=["before the log", "behind the log"])
async def test_a_range_outside_the_log_hides_no_event(vault, database, owner, context, start):
    """Who may insert ranges could say of a chain that it is covered, where nobody looks: it would never be signed."""
    await recorded(vault, context)
    await vault.checkpointing.make()
    chain = await owner.fetchval("SELECT chain FROM audit_events ORDER BY at DESC LIMIT 1")
    await owner.execute("INSERT INTO audit_ranges VALUES ($1, $2, 6, 1000000, 1)", start, chain)
    await recorded(vault, context)
    await vault.checkpointing.make()
    await owner.execute("UPDATE audit_events SET app = 'innocent' WHERE seq = 8")
    found = (await verified(database)).findings
    assert (Kind.INSERTED, str(chain)) in [(each.kind, each.chain) for each in found]
    assert Kind.CHANGED in {each.kind for each in found}


async def test_a_log_of_more_than_an_hour_without_any_checkpoint_is_not_signed(vault, database, owner, context):
    """Whoever takes the checkpoints away can write every event anew: nothing is left that a key has signed."""
    await recorded(vault, context)
    await vault.checkpointing.make()
    await owner.execute("TRUNCATE audit_checkpoints, audit_ranges")
    await recorded(vault, context)
    assert (await verified(database)).findings == []  # as young as a log that nobody could sign yet
    body = await owner.fetchval("SELECT body FROM audit_events ORDER BY at LIMIT 1")
    members = json.loads(body)
    early = members | {"at": "2026-01-01" + members["at"][10:]}
    rewritten = canonical(early)
    await owner.execute(
        "UPDATE audit_events SET body = $2, hash = $3, at = at - (at::date - date '2026-01-01') * interval '1 day'"
        " WHERE body = $1",
        body,
        rewritten,
        leaf_hash(rewritten),
    )
    assert Kind.UNSIGNED in {each.kind for each in (await verified(database)).findings}


async def test_a_checkpoint_that_is_none_is_an_error(vault, database, owner, context):
    await recorded(vault, context)
    await vault.checkpointing.make()
    await owner.execute("UPDATE audit_checkpoints SET note = 'x'")
    with pytest.raises(AuditLogChanged):
        await verified(database)


async def test_a_key_of_ones_own_in_the_database_does_not_help(vault, database, owner, context):
    """Whoever owns the database can sign anew with a key of their own; the key that is kept elsewhere shows it."""
    await recorded(vault, context)
    await vault.checkpointing.make()
    kept = await keys_of_database(database)
    await owner.execute("TRUNCATE audit_checkpoints, audit_ranges")
    await owner.execute("DELETE FROM data_keys WHERE purpose = 'signing'")
    vault.forget_keys()
    vault.checkpointing.statistics.size = 0
    await vault.checkpointing.make()
    assert (await verified(database)).findings == []
    kinds = {each.kind for each in (await verify_history(database, Demands(kept))).findings}
    assert kinds == {Kind.UNSIGNED}


async def test_an_export_verifies_without_the_database(vault, database, context, tmp_path):
    await recorded(vault, context)
    await vault.checkpointing.make()
    await recorded(vault, context)
    await vault.checkpointing.make()
    await recorded(vault, context, 1)
    demands = Demands(await keys_of_database(database))
    done = await export(database, tmp_path / "whole")
    assert (done.events, done.begins, done.size) == (11, 0, 11)
    report = verify_export(tmp_path / "whole", demands)
    assert (report.events, report.checkpoints, report.findings) == (11, 2, [])
    done = await export(database, tmp_path / "later", number=1)
    assert (done.events, done.begins, done.size) == (5, 6, 11)
    report = verify_export(tmp_path / "later", demands)
    assert (report.events, report.begins, report.findings) == (5, 6, [])
    assert (await verified(database, number=1)).findings == []
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "whole").glob("events*")} == {0}


async def test_an_export_replaces_nothing(vault, database, context, tmp_path):
    await recorded(vault, context)
    with pytest.raises(AuditExportRefused):
        await export(database, tmp_path)
    await vault.checkpointing.make()
    await export(database, tmp_path)
    before = (tmp_path / "events.jsonl").read_bytes()
    with pytest.raises(AuditExportRefused):
        await export(database, tmp_path)
    assert (tmp_path / "events.jsonl").read_bytes() == before
    with pytest.raises(AuditEventNotFound):
        await export(database, tmp_path / "none", number=9)


async def test_every_event_can_be_proven_alone(vault, database, owner, context, tmp_path):
    await recorded(vault, context)
    await vault.checkpointing.make()
    await recorded(vault, context, 2)
    keys = await keys_of_database(database)
    rows = await owner.fetch("SELECT chain, seq, body FROM audit_events ORDER BY chain, seq")
    with pytest.raises(AuditEventNotFound):
        await prove(database, rows[-1]["chain"], rows[-1]["seq"])
    await vault.checkpointing.make()
    for row in rows:
        file = tmp_path / "proof"
        file.write_text(await prove(database, row["chain"], row["seq"]))
        proof, findings = verify_proof(file, keys)
        assert (proof.body, findings) == (row["body"], [])
    with pytest.raises(AuditEventNotFound):
        await prove(database, UUID(int=1), 1)


async def test_a_changed_event_cannot_be_proven(vault, database, owner, context, tmp_path):
    await recorded(vault, context)
    await vault.checkpointing.make()
    chain, seq, body = await owner.fetchrow("SELECT chain, seq, body FROM audit_events WHERE seq = 3")
    changed = json.dumps({**json.loads(body), "app": "innocent"}).encode()
    await owner.execute("UPDATE audit_events SET body = $1 WHERE seq = 3", changed)
    (tmp_path / "proof").write_text(await prove(database, chain, seq))
    assert [each.kind for each in verify_proof(tmp_path / "proof", await keys_of_database(database))[1]] == [
        Kind.CHANGED
    ]


async def test_an_old_backup_that_panless_goes_on_with_is_another_history(
    open_vault, database, owner, context, tmp_path
):
    """What was written after the backup is gone, with its checkpoints; the anchors have seen it."""
    vault = await open_vault()
    for _ in range(3):
        await recorded(vault, context)
        await vault.checkpointing.make()
    anchors = tmp_path / "anchors"
    notes = [row["note"] for row in await owner.fetch("SELECT note FROM audit_checkpoints ORDER BY number")]
    anchors.write_text("\n".join(notes))
    demands = Demands(await keys_of_database(database), [anchors])
    assert (await verify_history(database, demands)).findings == []
    await owner.execute("DELETE FROM audit_events WHERE seq > 5")
    await owner.execute("DELETE FROM audit_ranges WHERE checkpoint > 1")
    await owner.execute("DELETE FROM audit_checkpoints WHERE number > 1")
    with pytest.raises(AuditLogChanged):  # a process that ran through it notices
        await vault.checkpointing.make()
    restarted = await open_vault()
    await restarted.checkpointing.make()
    assert (await verified(database)).findings == []
    assert [each.kind for each in (await verify_history(database, demands)).findings] == [Kind.CUT_OFF] * 2
    await recorded(restarted, context, 12)
    await restarted.checkpointing.make()
    assert (await verified(database)).findings == []
    assert {each.kind for each in (await verify_history(database, demands)).findings} == {Kind.FORKED}
