"""Break glass, step by step: every refusal, each recorded before it is told, and nothing opened after one."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from vault import errors
from vault.exposure import expose
from vault.kinds import CVC, PAN
from vault.requests import NewValue
from vault.sensitive import Sensitive
from vault.upkeep.break_glass import BreakGlass
from vault.upkeep.operators import OperatorRole, add_operator, revoke_operator

NUMBER = "4000056655665556"
REASON = "asked for by the bank"
PEOPLE = {"ann": "operator", "abe": "operator", "bob": "approver", "bea": "approver", "cleo": "auditor"}
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
NOBODY = UUID("00000000-0000-7000-8000-000000000000")


async def events(owner) -> list[dict]:
    return [json.loads(row["body"]) for row in await owner.fetch("SELECT body FROM audit_events ORDER BY at, chain")]


@pytest.fixture
async def people(database) -> dict[str, str]:
    return {name: await add_operator(database, name, OperatorRole(role)) for name, role in PEOPLE.items()}


@pytest.fixture
async def glass(database):
    async with BreakGlass.open(database, enabled=True, lifetime=timedelta(minutes=15)) as opened:
        yield opened


@pytest.fixture
async def tokens(vault, context) -> list[str]:
    """Of a card and of its code."""
    values = [NewValue(PAN, Sensitive(NUMBER), "$.n"), NewValue(CVC, Sensitive("737"), "$.c", of=0)]
    return [str(each) for each in await vault.tokenize(values, "default", context)]


@pytest.fixture
def refused(owner):
    """Expect an error, and an event that says the same of the same person."""

    async def check(error: type[errors.PanlessError], who: str, step) -> None:
        with pytest.raises(error) as caught:
            await step
        assert NUMBER not in f"{caught.value!r}"
        last = (await events(owner))[-1]
        assert (last["code"], last.get("operator")) == (error.code, who)
        assert last["outcome"] == ("failed" if issubclass(error, errors.KeyFailure) else "denied")

    return check


async def test_two_people_see_one_value_once(people, glass, tokens, keks, owner, refused):
    asked = (await glass.request(people["ann"], tokens[0], REASON)).request.id
    await glass.approve(people["bob"], asked)
    step, value = await glass.show(people["ann"], asked, keks, terminal=True)
    assert expose(value) == NUMBER
    assert (step.operator, step.token, step.request.reason) == ("ann", tokens[0], REASON)
    again = glass.show(people["ann"], asked, keks, terminal=True)
    await refused(errors.BreakGlassSpent, "ann", again)
    steps = [each for each in await events(owner) if each["action"].startswith("break_glass.")]
    assert [(each["action"], each["operator"], each["outcome"]) for each in steps] == [
        ("break_glass.request", "ann", "permitted"),
        ("break_glass.approve", "bob", "permitted"),
        ("break_glass.reveal", "ann", "permitted"),
        ("break_glass.reveal", "ann", "denied"),
    ]
    assert {(each["reason"], *each["tokens"]) for each in steps} == {(REASON, tokens[0])}


async def test_an_approver_may_ask_too_and_needs_another_one(people, glass, tokens, keks, owner, refused):
    asked = (await glass.request(people["bob"], tokens[0], REASON)).request.id
    await refused(errors.BreakGlassOwnRequest, "bob", glass.approve(people["bob"], asked))
    await refused(errors.OperatorNotPermitted, "ann", glass.approve(people["ann"], asked))
    await refused(errors.OperatorNotPermitted, "cleo", glass.approve(people["cleo"], asked))
    await refused(errors.OperatorNotPermitted, "cleo", glass.request(people["cleo"], tokens[0], REASON))
    await refused(errors.BreakGlassNotApproved, "bob", glass.show(people["bob"], asked, keks, terminal=True))
    with pytest.raises(asyncpg.CheckViolationError):  # the database does not take it either
        await owner.execute("UPDATE break_glass SET approved_by = requested_by, approved_at = now()")
    await glass.approve(people["bea"], asked)
    await refused(errors.BreakGlassApproved, "bea", glass.approve(people["bea"], asked))
    for other in ("abe", "bea"):
        await refused(errors.BreakGlassNotYours, other, glass.show(people[other], asked, keks, terminal=True))


async def test_who_is_revoked_has_agreed_to_nothing(people, glass, database, tokens, keks, refused):
    asked = (await glass.request(people["ann"], tokens[0], REASON)).request.id
    await glass.approve(people["bob"], asked)
    await revoke_operator(database, "bob")
    await refused(errors.BreakGlassNotApproved, "ann", glass.show(people["ann"], asked, keks, terminal=True))


async def test_of_two_at_once_one_is_shown(people, glass, database, tokens, keks, owner):
    """Both are let go when both have come as far as they can while the row is held."""
    asked = (await glass.request(people["ann"], tokens[0], REASON)).request.id
    await glass.approve(people["bob"], asked)
    options = {"enabled": True, "lifetime": timedelta(minutes=15)}
    async with BreakGlass.open(database, **options) as one, BreakGlass.open(database, **options) as two:
        async with owner.transaction():
            await owner.execute("UPDATE break_glass SET reason = reason")
            shows = [asyncio.create_task(each.show(people["ann"], asked, keks, terminal=True)) for each in (one, two)]
            async with asyncio.timeout(10):
                while await owner.fetchval(_WAITING) < 2:
                    await asyncio.sleep(0.02)
        ends = await asyncio.gather(*shows, return_exceptions=True)
    assert sorted(type(each).__name__ for each in ends) == ["BreakGlassSpent", "tuple"]


async def test_time_runs_out(people, glass, tokens, keks, owner, refused):
    asked = (await glass.request(people["ann"], tokens[0], REASON)).request.id
    await owner.execute("UPDATE break_glass SET expires_at = now()")
    await refused(errors.BreakGlassExpired, "bob", glass.approve(people["bob"], asked))
    approved = (await glass.request(people["ann"], tokens[0], REASON)).request.id
    await glass.approve(people["bob"], approved)
    await owner.execute("UPDATE break_glass SET expires_at = now()")
    await refused(errors.BreakGlassExpired, "ann", glass.show(people["ann"], approved, keks, terminal=True))
    await refused(errors.BreakGlassUnknown, "bob", glass.approve(people["bob"], NOBODY))


async def test_without_a_terminal_nothing_is_spent(people, glass, tokens, keks, owner, refused):
    asked = (await glass.request(people["ann"], tokens[0], REASON)).request.id
    await glass.approve(people["bob"], asked)
    await refused(errors.BreakGlassNoTerminal, "ann", glass.show(people["ann"], asked, keks, terminal=False))
    assert await owner.fetchval("SELECT revealed_at FROM break_glass") is None


async def test_codes_and_what_is_no_token_cannot_be_asked_for(people, glass, tokens, refused):
    for token, error in (
        (tokens[1], errors.NotAToken),
        (tokens[1].replace("cvc_", "tok_"), errors.TokenUnknown),
        (NUMBER, errors.NotAToken),
        ("tok_01h455vb4pex5vsknk084sn02q", errors.TokenUnknown),
    ):
        await refused(error, "ann", glass.request(people["ann"], token, REASON))


async def test_switched_off_it_takes_no_step(people, database, glass, tokens, keks, refused):
    asked = (await glass.request(people["ann"], tokens[0], REASON)).request.id
    await glass.approve(people["bob"], asked)
    async with BreakGlass.open(database, enabled=False, lifetime=timedelta(minutes=15)) as off:
        await refused(errors.BreakGlassDisabled, "ann", off.request(people["ann"], tokens[0], REASON))
        await refused(errors.BreakGlassDisabled, "bob", off.approve(people["bob"], asked))
        await refused(errors.BreakGlassDisabled, "ann", off.show(people["ann"], asked, keks, terminal=True))


async def test_who_is_nobody_or_gone_takes_no_step(people, database, glass, tokens, refused):
    await refused(errors.OperatorUnknown, None, glass.request("plo_wrong", tokens[0], REASON))
    await refused(errors.OperatorUnknown, None, glass.request("", tokens[0], REASON))
    await revoke_operator(database, "ann")
    await refused(errors.OperatorKeyRevoked, "ann", glass.request(people["ann"], tokens[0], REASON))


async def test_the_event_is_there_before_anything_is_opened(people, glass, tokens, keks, owner, monkeypatch):
    """A log that cannot be written to shows nothing, and spends nothing."""
    asked = (await glass.request(people["ann"], tokens[0], REASON)).request.id
    await glass.approve(people["bob"], asked)
    opened: list[str] = []
    monkeypatch.setattr("vault.upkeep.break_glass.unseal", lambda *_: opened.append("opened"))
    await owner.execute(
        "ALTER TABLE audit_events ADD CONSTRAINT full_disk CHECK (action <> 'break_glass.reveal') NOT VALID"
    )
    try:
        with pytest.raises(errors.StoreError):
            await glass.show(people["ann"], asked, keks, terminal=True)
    finally:
        await owner.execute("ALTER TABLE audit_events DROP CONSTRAINT full_disk")
    assert opened == []
    assert await owner.fetchval("SELECT revealed_at FROM break_glass") is None


async def test_a_record_that_does_not_open_is_a_failed_reveal(people, glass, tokens, keks, owner, refused):
    asked = (await glass.request(people["ann"], tokens[0], REASON)).request.id
    await glass.approve(people["bob"], asked)
    await owner.execute("UPDATE tokens SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)")
    await refused(errors.RecordDoesNotOpen, "ann", glass.show(people["ann"], asked, keks, terminal=True))
