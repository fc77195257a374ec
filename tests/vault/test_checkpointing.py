"""Checkpoints of a real database: over all chains, without gaps, by one process at a time, never over a changed one."""

from __future__ import annotations

import pytest

from tests.harness.verified import verified
from vault import checkpointing
from vault.audit.event import Event, Outcome
from vault.audit.findings import Kind
from vault.errors import AuditLogChanged, KeyUnavailable
from vault.keys.file import FileKeyProvider
from vault.store import checkpoints
from vault.store.audit import append
from vault.upkeep.checkpoints import make_checkpoint


async def recorded(vault, context, count=3):
    for _ in range(count):
        await vault.record("start", context)


async def sizes(owner):
    return [row["size"] for row in await owner.fetch("SELECT size FROM audit_checkpoints ORDER BY number")]


async def test_a_checkpoint_covers_every_chain_and_the_next_one_what_is_new(open_vault, database, owner, context):
    one, other = await open_vault(), await open_vault()
    await recorded(one, context)
    await recorded(other, context, 2)
    assert await one.checkpointing.make() == 6
    await recorded(one, context, 2)
    assert await other.checkpointing.make() == 8
    assert await other.checkpointing.make() == 8
    assert await sizes(owner) == [6, 8]
    report = await verified(database)
    assert (report.events, report.uncovered, report.checkpoints, report.findings) == (8, 0, 2, [])
    assert one.checkpointing.statistics.made == other.checkpointing.statistics.made == 1


async def test_the_last_checkpoint_is_made_at_the_end(open_vault, database, context):
    vault = await open_vault()
    await recorded(vault, context)
    assert (await verified(database)).uncovered == 4
    await vault.close()
    report = await verified(database)
    assert (report.events, report.uncovered, report.findings) == (4, 0, [])


async def test_checkpoints_are_made_by_themselves(open_vault, owner, context):
    from datetime import timedelta

    from tests.harness.waiting import until

    vault = await open_vault(checkpoint_every=timedelta(milliseconds=20))
    await recorded(vault, context)

    async def covered():
        return (await sizes(owner))[-1:] == [4]

    await until(covered)


async def test_a_backlog_is_covered_in_portions(vault, database, owner, context, monkeypatch):
    await recorded(vault, context, 10)
    monkeypatch.setattr(checkpointing, "PORTION", 4)
    assert await vault.checkpointing.make() == 11
    assert await sizes(owner) == [4, 8, 11]
    assert (await verified(database)).findings == []


async def test_nothing_is_signed_over_a_gap(open_vault, database, owner, context):
    broken, whole = await open_vault(), await open_vault()
    await recorded(broken, context, 5)
    (chain,) = await owner.fetchrow("SELECT chain FROM audit_events ORDER BY chain DESC LIMIT 1")
    await owner.execute("DELETE FROM audit_events WHERE chain = $1 AND seq = 3", chain)
    assert await whole.checkpointing.make() == 3
    assert whole.checkpointing.statistics.gaps == 1
    await recorded(whole, context, 4)
    assert await whole.checkpointing.make() == 7
    report = await verified(database)
    assert (report.uncovered, [each.kind for each in report.findings]) == (2, [Kind.MISSING])
    assert (report.findings[0].chain, report.findings[0].seq) == (str(chain), 3)


async def test_one_process_at_a_time(open_vault, context, open_pool, owner):
    vault = await open_vault()
    await recorded(vault, context)
    async with checkpoints.alone(await open_pool()) as connection:
        assert connection is not None
        assert await vault.checkpointing.make() is None
    assert await vault.checkpointing.make() == 4
    assert await sizes(owner) == [4]


async def test_none_is_made_while_the_key_provider_is_away(open_vault, database, context, monkeypatch):
    from datetime import timedelta

    vault = await open_vault(key_cache=timedelta(seconds=0))
    await recorded(vault, context)

    async def away(*_):
        raise KeyUnavailable(key="kek", reason="it is away")

    with monkeypatch.context() as while_away:
        while_away.setattr(FileKeyProvider, "wrap", away)
        while_away.setattr(FileKeyProvider, "unwrap", away)
        with pytest.raises(KeyUnavailable):
            await vault.checkpointing.make()
        assert (await verified(database)).uncovered == 4
    assert await vault.checkpointing.make() == 4


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_checkpoints SET peaks = set_byte(peaks, 0, 255 - get_byte(peaks, 0))",
        "UPDATE audit_checkpoints SET peaks = ''",
        "UPDATE audit_checkpoints SET size = size + 1",
        "UPDATE audit_checkpoints SET note = 'x'",
        "DELETE FROM audit_checkpoints",
    ],
)
async def test_nothing_is_signed_after_a_checkpoint_that_was_changed(vault, owner, context, sql):
    await recorded(vault, context)
    await vault.checkpointing.make()
    before = await sizes(owner)
    await owner.execute(sql)
    await recorded(vault, context)
    with pytest.raises(AuditLogChanged):
        await vault.checkpointing.make()
    assert len(await sizes(owner)) <= len(before)


async def test_a_command_makes_a_checkpoint_beside_the_processes(vault, database, owner, context, kek):
    from vault.key_settings import FileSettings
    from vault.settings import VaultSettings

    await recorded(vault, context)
    made = await make_checkpoint(VaultSettings(kek.parent, [FileSettings(kek)]), database)
    assert made.size == 4
    assert made.origin == f"panless/audit/{await owner.fetchval('SELECT id FROM audit_log')}"
    assert (await verified(database)).findings == []


async def test_events_of_a_command_are_covered_by_whoever_runs(vault, database, owner, context):
    from datetime import UTC, datetime

    await recorded(vault, context)
    await append(owner, [Event(at=datetime.now(UTC), action="app.add", outcome=Outcome.PERMITTED)])
    await recorded(vault, context)
    assert await vault.checkpointing.make() == 8
    assert (await verified(database)).findings == []
