"""What is archived verifies alone; what is left begins there, and says so; proofs made before still verify."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.verified import verified
from vault.audit.findings import Kind
from vault.errors import AuditExportRefused
from vault.upkeep.archive import archive
from vault.upkeep.evidence import Demands, verify_export, verify_proof
from vault.upkeep.export import export, prove, stream
from vault.upkeep.history import keys_of_database, verify_history

LATER = datetime.now(UTC) + timedelta(days=1)


async def recorded(vault, context, count=5):
    for _ in range(count):
        await vault.record("start", context)


@pytest.fixture
async def grown(vault, database, context):
    """Three checkpoints: over 6, 11 and 14 events."""
    for count in (5, 5, 3):
        await recorded(vault, context, count)
        await vault.checkpointing.make()
    return vault


async def demands_of(database) -> Demands:
    return Demands(await keys_of_database(database))


async def test_an_archive_verifies_alone_and_nothing_is_deleted(grown, database, tmp_path):
    done = await archive(database, tmp_path / "a", LATER, await demands_of(database))
    assert (done.report.events, done.report.findings, done.pruned) == (14, [], 0)
    assert (await verified(database)).events == 14


async def test_pruning_deletes_nothing_that_was_not_archived(grown, database, owner, context, tmp_path):
    chain = await owner.fetchval("SELECT chain FROM audit_events ORDER BY at DESC LIMIT 1")
    await recorded(grown, context)
    seq = await owner.fetchval("SELECT max(seq) FROM audit_events WHERE chain = $1", chain)
    await owner.execute("INSERT INTO audit_ranges VALUES (-1000, $1, $2, $2, 1)", chain, seq)
    with pytest.raises(AuditExportRefused, match="15 events would be deleted, and 14 were archived"):
        await archive(database, tmp_path / "a", LATER, await demands_of(database), prune=True)
    assert await owner.fetchval("SELECT count(*) FROM audit_events WHERE chain = $1 AND seq = $2", chain, seq) == 1
    assert await owner.fetchval("SELECT begins FROM audit_log") == 0


async def test_a_pruned_log_begins_where_the_archive_ends(grown, open_vault, database, owner, context, tmp_path):
    demands = await demands_of(database)
    chain, seq = await owner.fetchrow("SELECT chain, seq FROM audit_events ORDER BY at LIMIT 1")
    (tmp_path / "proof").write_text(await prove(database, chain, seq))
    before = await owner.fetchval("SELECT at + interval '1 microsecond' FROM audit_checkpoints WHERE number = 2")
    done = await archive(database, tmp_path / "first", before, demands, prune=True)
    assert (done.report.events, done.pruned) == (11, 11)
    assert [each.kind for each in (await verified(database)).findings] == [Kind.MISSING]  # until that is signed, too
    await recorded(grown, context)  # in the chain that was there before
    await recorded(await open_vault(), context)
    await grown.checkpointing.make()
    report = await verified(database)
    assert (report.findings, report.begins, report.size) == ([], 11, 25)
    assert grown.checkpointing.statistics.gaps == 0
    assert verify_export(tmp_path / "first", demands).findings == []
    assert verify_proof(tmp_path / "proof", demands.keys)[1] == []
    assert [entry.index async for entry in stream(database)] == list(range(11, 25))
    # The rest can be exported, proven and archived as before.
    chain, seq = await owner.fetchrow("SELECT chain, seq FROM audit_events ORDER BY at LIMIT 1")
    (tmp_path / "proof").write_text(await prove(database, chain, seq))
    assert verify_proof(tmp_path / "proof", demands.keys)[1] == []
    await export(database, tmp_path / "rest")
    assert verify_export(tmp_path / "rest", demands).findings == []
    again = await archive(database, tmp_path / "second", LATER, demands, prune=True)
    assert (again.report.begins, again.report.size, again.report.findings) == (11, 25, [])
    await grown.checkpointing.make()
    report = await verified(database)
    assert (report.findings, report.begins, report.events) == ([], 25, 1)
    assert verify_export(tmp_path / "second", demands).findings == []


@pytest.mark.parametrize("event", [None, "another one"])
async def test_a_log_that_begins_later_without_the_event_is_found(grown, database, owner, context, event):
    from vault.audit.event import Event, Outcome
    from vault.store import pruning
    from vault.store.audit import append

    await pruning.prune(owner, 6)
    if event:
        at, begins = datetime.now(UTC), f"6 {'00' * 32}"
        await append(owner, [Event(at=at, action="audit.prune", outcome=Outcome.PERMITTED, begins=begins)])
    await recorded(grown, context)
    await grown.checkpointing.make()
    assert [each.kind for each in (await verified(database)).findings] == [Kind.MISSING]


async def test_what_does_not_verify_is_not_pruned(grown, database, owner, tmp_path):
    demands = await demands_of(database)
    await owner.execute(
        "UPDATE audit_events SET body = replace(convert_from(body, 'UTF8'), 'gateway', 'gatewax')::bytea"
    )
    with pytest.raises(AuditExportRefused):
        await archive(database, tmp_path / "a", LATER, demands, prune=True)
    assert await owner.fetchval("SELECT count(*) FROM audit_events") == 14
    assert (await verify_history(database, demands)).begins == 0


async def test_what_a_sink_has_not_got_is_not_pruned(grown, database, owner, tmp_path):
    demands = await demands_of(database)
    await owner.execute("INSERT INTO audit_sinks VALUES ('slow', 13), ('quick', 14)")
    with pytest.raises(AuditExportRefused):
        await archive(database, tmp_path / "a", LATER, demands, prune=True, due=["quick", "slow"])
    assert await owner.fetchval("SELECT count(*) FROM audit_events") == 14
    assert (await archive(database, tmp_path / "b", LATER, demands, prune=True, due=["quick"])).pruned == 14


async def test_there_has_to_be_something_old_enough(grown, database, tmp_path):
    with pytest.raises(AuditExportRefused):
        await archive(database, tmp_path / "a", datetime(2020, 1, 1, tzinfo=UTC), await demands_of(database))
