"""Velocity limits and the limits of tokens, over two vaults on one database: what two workers would be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.cards import cards
from vault.braking import Brakes
from vault.errors import (
    AppUnknown,
    OperatorUnknown,
    PanlessError,
    RevealsStopped,
    TokenExpired,
    TokenNotForRoute,
    TokenUnknown,
    VelocityExceeded,
)
from vault.exposure import expose
from vault.kinds import CVC, PAN
from vault.operators import OperatorRole
from vault.policy import Permit, Principal
from vault.requests import NewValue, Reference, TokenLimits
from vault.sensitive import Sensitive
from vault.store import velocity as rows
from vault.store.database import Role
from vault.tokens import Token, mint
from vault.upkeep.apps import add_app
from vault.upkeep.operators import add_operator
from vault.upkeep.stops import look, release
from vault.velocity import DAY, HOUR, MINUTE, Count, Limit, Limits, Per, Then, Unusual

VISA = "4242424242424242"
CLIENTS = 8
BILLING = Permit(Principal("billing", "default"), "reveal", "gateway", "api.example")


def limit(per: Per = Per.APP, most: int = 20, then: Then = Then.THROTTLE, window: int = DAY, **scope) -> Limits:
    return Limits([Limit("few", per, {window: most}, then, **scope)])


def pan(number: str = VISA, **limits) -> NewValue:
    return NewValue(PAN, Sensitive(number), "$", limits=TokenLimits(**limits))


def reference(token: Token) -> Reference:
    return Reference(PAN, token, "$.number")


async def outcomes(calls) -> list[str]:
    """Return the code of each call's error, or `done`."""

    async def one(call) -> str:
        try:
            await call
        except PanlessError as error:
            return error.code
        return "done"

    return await asyncio.gather(*map(one, calls))


async def events(owner, action: str) -> list[dict]:
    found = await owner.fetch("SELECT body FROM audit_events WHERE action = $1 ORDER BY at, chain, seq", action)
    return [json.loads(row["body"]) for row in found]


@pytest.fixture
def two(open_vault) -> Callable:
    async def opened(limits: Limits) -> list:
        return [await open_vault(limits=limits) for _ in range(2)]

    return opened


@pytest.mark.parametrize("per", [Per.APP, Per.ROUTE, Per.TOKEN])
async def test_a_limit_holds_exactly_under_eight_clients_of_two_workers(two, context, permit, owner, per):
    vaults = await two(limit(per, 20))
    tokens = await vaults[0].tokenize([pan(number) for number in cards()[:5]], "default", context)
    mine = [tokens[0]] if per is Per.TOKEN else tokens

    async def client(number: int) -> list[str]:
        vault = vaults[number % 2]
        return [
            code
            for turn in range(10)
            for code in await outcomes([vault.reveal([reference(mine[turn % len(mine)])], permit, context)])
        ]

    found = [code for codes in await asyncio.gather(*map(client, range(CLIENTS))) for code in codes]
    assert sorted(set(found)) == ["done", "velocity_exceeded"]
    assert found.count("done") == 20
    recorded = await events(owner, "reveal")
    assert len([each for each in recorded if each["outcome"] == "permitted"]) == 20
    refused = [each for each in recorded if each["outcome"] == "denied"]
    assert len(refused) == 60
    assert {(each["code"], each["rule"]) for each in refused} == {("velocity_exceeded", "few")}
    assert len(await events(owner, "velocity.throttle")) in (1, 2)  # once a window, by each process that refuses


async def test_a_request_that_would_go_over_is_refused_whole_and_a_smaller_one_is_not(open_vault, context, permit):
    vault = await open_vault(limits=limit(most=4))
    tokens = await vault.tokenize([pan(number) for number in cards()[:5]], "default", context)
    with pytest.raises(VelocityExceeded):
        await vault.reveal([reference(each) for each in tokens], permit, context)
    await vault.reveal([reference(each) for each in tokens[:4]], permit, context)
    with pytest.raises(VelocityExceeded) as refused:
        await vault.reveal([reference(tokens[0])], permit, context)
    assert 0 < refused.value.ids["seconds"] <= DAY
    assert str(tokens[0]) not in str(refused.value)


async def test_verification_codes_do_not_count(open_vault, context, permit):
    vault = await open_vault(limits=limit(most=2))
    card, code = await vault.tokenize([pan(), NewValue(CVC, Sensitive("123"), "$", 0)], "default", context)
    for _ in range(2):
        await vault.reveal([reference(card), Reference(CVC, code, "$.cvc")], permit, context)


async def test_others_are_not_held_up_by_one_who_is_over_the_limit(open_vault, context, permit):
    vault = await open_vault(limits=limit(most=1))
    (token,) = await vault.tokenize([pan()], "default", context)
    calls = [vault.reveal([reference(token)], each, context) for each in [permit] * 5 + [BILLING]]
    found = await outcomes(calls)
    assert found[-1] == "done"
    assert found[:5].count("done") == 1


async def test_a_limit_can_be_for_some_applications_and_routes(open_vault, context, permit):
    scoped = Limits([Limit("few", Per.APP, {DAY: 1}, Then.THROTTLE, frozenset({"billing"}), frozenset({"gateway"}))])
    vault = await open_vault(limits=scoped)
    (token,) = await vault.tokenize([pan()], "default", context)
    elsewhere = Permit(BILLING.principal, "reveal", "elsewhere", "api.example")
    for allowed in [permit] * 3 + [elsewhere] * 3 + [BILLING]:
        await vault.reveal([reference(token)], allowed, context)
    with pytest.raises(VelocityExceeded):
        await vault.reveal([reference(token)], BILLING, context)


async def test_a_window_ends(open_vault, context, permit, owner):
    vault = await open_vault(limits=limit(most=1, window=MINUTE))
    (token,) = await vault.tokenize([pan()], "default", context)
    await owner.execute("UPDATE reveal_counts SET count = 9")
    await vault.reveal([reference(token)], permit, context)
    await owner.execute("UPDATE reveal_counts SET began = began - interval '1 minute'")
    await vault.reveal([reference(token)], permit, context)


def test_windows_are_those_of_utc():
    count = Count("app:shop", HOUR, 1, 1, "few", Then.THROTTLE)
    at = datetime(2026, 3, 1, 13, 59, 59, tzinfo=UTC)
    assert count.began(at) == datetime(2026, 3, 1, 13, tzinfo=UTC)
    assert count.ends(at) == datetime(2026, 3, 1, 14, tzinfo=UTC)


async def test_who_is_to_be_stopped_stays_stopped_on_every_worker_until_an_operator_resumes(
    two, context, permit, database, owner
):
    vaults = await two(limit(most=2, then=Then.STOP, window=MINUTE))
    (token,) = await vaults[0].tokenize([pan()], "default", context)
    for _ in range(2):
        await vaults[0].reveal([reference(token)], permit, context)
    with pytest.raises(VelocityExceeded):
        await vaults[0].reveal([reference(token)], permit, context)
    await owner.execute("DELETE FROM reveal_counts")  # as if the minute had ended
    with pytest.raises(RevealsStopped):
        await vaults[0].reveal([reference(token)], permit, context)
    async with asyncio.timeout(20):
        while (await outcomes([vaults[1].reveal([reference(token)], permit, context)])) != ["reveals_stopped"]:
            await owner.execute("DELETE FROM reveal_counts")
    await vaults[1].reveal([reference(token)], BILLING, context)
    assert [(stop.subject, stop.rule, stop.until) for stop in (await look(database)).stops] == [
        ("app:shop", "few", None)
    ]
    assert [each["destination"] for each in await events(owner, "velocity.stop")] == ["app:shop"]
    await release(database, "app:shop")
    async with asyncio.timeout(20):
        while (await outcomes([vaults[1].reveal([reference(token)], permit, context)])) == ["reveals_stopped"]:
            await asyncio.sleep(0.05)
    assert [each["destination"] for each in await events(owner, "velocity.resume")] == ["app:shop"]


async def test_a_shorter_wait_does_not_end_a_stop(open_pool):
    brakes = Brakes(Limits(), rows.VelocityRows(await open_pool(size=1)))
    now = datetime.now(UTC)
    stop, wait = (Count("app:shop", MINUTE, 1, 1, then.value, then) for then in (Then.STOP, Then.THROTTLE))
    await brakes.stop(stop, now)
    await brakes.stop(wait, now - timedelta(minutes=5) + timedelta(seconds=1))  # over, and not looked at since
    with pytest.raises(RevealsStopped):
        brakes.check(["app:shop"])
    await brakes.stop(wait, now + timedelta(seconds=1))  # stopped, an application can go on guessing
    await brakes.beat()
    with pytest.raises(RevealsStopped):
        brakes.check(["app:shop"])


async def test_what_is_only_reported_goes_on_and_is_recorded_once_a_window(two, context, permit, owner):
    vaults = await two(limit(most=3, then=Then.REPORT))
    (token,) = await vaults[0].tokenize([pan()], "default", context)
    found = await outcomes(vaults[number % 2].reveal([reference(token)], permit, context) for number in range(10))
    assert found == ["done"] * 10
    async with asyncio.timeout(20):
        while not (reported := await events(owner, "velocity.report")):
            await asyncio.sleep(0.02)
    assert [(each["rule"], each["destination"]) for each in reported] == [("few", "app:shop")]


async def test_an_application_that_reveals_ten_times_its_usual_rate(open_vault, context, permit, owner):
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    usual = [("unusual.rate/app:shop", HOUR, now - timedelta(hours=hours), 2) for hours in (1, 5, 30, 90)]
    usual += [("unusual.rate/app:billing", HOUR, now - timedelta(hours=1), 2)]  # too new to be judged
    await owner.executemany("INSERT INTO reveal_counts VALUES ($1, $2, $3, $4)", usual)
    unusual = Unusual(factor=10, at_least=5, rate_then=Then.THROTTLE)
    vault = await open_vault(limits=Limits([], unusual))
    (token,) = await vault.tokenize([pan()], "default", context)
    found = await outcomes([vault.reveal([reference(token)], permit, context) for _ in range(25)])
    assert sorted(found) == ["done"] * 20 + ["velocity_exceeded"] * 5
    assert set(await outcomes([vault.reveal([reference(token)], BILLING, context) for _ in range(25)])) == {"done"}


@pytest.mark.parametrize("then", [Then.THROTTLE, Then.STOP])
async def test_look_ups_that_find_nothing_look_like_guessing(two, context, permit, owner, then):
    vaults = await two(Limits([], Unusual(look_ups=5, look_ups_then=then)))
    (token,) = await vaults[0].tokenize([pan()], "default", context)
    made_up = [reference(mint("tok")) for _ in range(6)]
    assert set(await outcomes([vaults[0].reveal([each], permit, context) for each in made_up])) == {"token_unknown"}
    code = "velocity_exceeded" if then is Then.THROTTLE else "reveals_stopped"
    for vault in vaults:
        async with asyncio.timeout(20):
            while (await outcomes([vault.reveal([reference(token)], permit, context)])) != [code]:
                await asyncio.sleep(0.05)
        await vault.reveal([reference(token)], BILLING, context)
    assert [each["destination"] for each in await events(owner, f"velocity.{then.value}")] == ["app:shop"]


async def test_an_address_that_tries_keys_has_to_wait_also_with_a_right_one(open_vault, context, database):
    vault = await open_vault(limits=Limits([], Unusual(look_ups=3)))
    key = await add_app(database, "shop", "default")
    for _ in range(4):
        with pytest.raises(AppUnknown):
            await vault.identify("plk_" + "a" * 58, context)
    async with asyncio.timeout(20):
        while (await outcomes([vault.identify(key, context)])) != ["velocity_exceeded"]:
            await asyncio.sleep(0.02)


async def test_an_address_that_tries_keys_of_operators_has_to_wait_too(open_vault, context, database):
    vault = await open_vault(limits=Limits([], Unusual(look_ups=3)))
    key = await add_operator(database, "ann", OperatorRole.AUDITOR)
    for _ in range(4):
        with pytest.raises(OperatorUnknown):
            await vault.operators.sign_in("plo_" + "a" * 58, context)
    async with asyncio.timeout(20):
        while (await outcomes([vault.operators.sign_in(key, context)])) != ["velocity_exceeded"]:
            await asyncio.sleep(0.02)
    assert await outcomes([vault.identify(key, context)]) == ["velocity_exceeded"]
    await vault.operators.sign_in(key, replace(context, origin="192.0.2.9"))


async def test_whoever_has_one_address_of_ipv6_has_a_network_of_them(open_vault, context, database):
    vault = await open_vault(limits=Limits([], Unusual(look_ups=3)))
    key = await add_app(database, "shop", "default")
    for number in range(4):
        with pytest.raises(AppUnknown):
            await vault.identify("plk_" + "a" * 58, replace(context, origin=f"2001:db8::{number}:1"))
    async with asyncio.timeout(20):
        while (await outcomes([vault.identify(key, replace(context, origin="2001:db8::9"))])) != ["velocity_exceeded"]:
            await asyncio.sleep(0.02)
    await vault.identify(key, replace(context, origin="2001:db8:0:1::9"))


async def test_a_token_for_one_use_is_used_once_by_whoever_comes_first(two, context, permit, owner):
    vaults = await two(Limits())
    (token,) = await vaults[0].tokenize([pan(max_uses=1)], "default", context)
    found = await outcomes([vaults[number % 2].reveal([reference(token)], permit, context) for number in range(16)])
    assert sorted(found) == ["done"] + ["token_expired"] * 15
    assert len([each for each in await events(owner, "reveal") if each["outcome"] == "permitted"]) == 1


async def test_a_token_twice_in_one_request_is_used_twice(open_vault, context, permit):
    vault = await open_vault()
    (token,) = await vault.tokenize([pan(max_uses=1)], "default", context)
    with pytest.raises(TokenExpired):
        await vault.reveal([reference(token)] * 2, permit, context)
    (revealed,) = await vault.reveal([reference(token)], permit, context)
    assert expose(revealed.value) == VISA


async def test_a_token_with_limits_is_its_own(open_vault, context):
    vault = await open_vault()
    limited = [(await vault.tokenize([pan(max_uses=2)], "default", context))[0] for _ in range(2)]
    (unlimited,) = await vault.tokenize([pan()], "default", context)
    (again,) = await vault.tokenize([pan()], "default", context)
    assert len({*limited, unlimited}) == 3
    assert unlimited == again


@pytest.mark.parametrize("limits", [{"routes": ("here", "there")}, {"gateways": ("api.other",)}], ids=str)
async def test_a_token_is_for_its_routes_and_gateways_only(open_vault, context, permit, limits):
    vault = await open_vault()
    (token,) = await vault.tokenize([pan(**limits)], "default", context)
    with pytest.raises(TokenNotForRoute):
        await vault.reveal([reference(token)], permit, context)
    named = Permit(permit.principal, "reveal", "there", "api.other")
    (revealed,) = await vault.reveal([reference(token)], named, context)
    assert expose(revealed.value) == VISA


async def test_a_token_expires_and_is_purged_and_still_says_that_it_expired(open_vault, context, permit, owner):
    vault = await open_vault()
    old, kept = await vault.tokenize(
        [pan(lifetime=timedelta(hours=1)), pan(cards()[1], lifetime=timedelta(days=1))],
        "default",
        context,
        customer="c-1",
    )
    await owner.execute("UPDATE tokens SET expires_at = clock_timestamp() WHERE token = $1", old.id)
    with pytest.raises(TokenExpired):
        await vault.reveal([reference(old)], permit, context)
    assert await vault.purge_tokens() == 1
    assert await owner.fetchval("SELECT array_agg(token) FROM tokens") == [kept.id]
    assert await owner.fetchval("SELECT array_agg(token) FROM token_customers") == [kept.id]
    assert [each["tokens"] for each in await events(owner, "purge")] == [[str(old)]]
    with pytest.raises(TokenExpired):
        await vault.reveal([reference(old)], permit, context)
    assert await vault.purge_tokens() == 0


async def test_the_proxy_can_purge_nothing_whose_time_is_not_up(open_vault, context, database, owner):
    vault = await open_vault()
    await vault.tokenize([pan(lifetime=timedelta(hours=1)), pan()], "default", context)
    proxy = await database.connect(Role.PROXY)
    try:
        await proxy.execute("SET TIME ZONE '-12'")
        assert await proxy.fetch("SELECT * FROM panless_purge(1000)") == []
    finally:
        await proxy.close()
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 2


async def test_what_another_tenant_erased_is_not_told(open_vault, context, owner, permit):
    vault = await open_vault()
    foreign = mint("tok")
    await owner.execute("INSERT INTO ended_tokens VALUES ($1, 'other', 'erased', now())", foreign.id)
    found = await outcomes([vault.reveal([reference(foreign)], permit, context)])
    assert found == ["token_other_tenant"]
    with pytest.raises(TokenUnknown):
        await vault.reveal([reference(mint("tok"))], permit, context)


async def test_counts_are_deleted_once_they_are_over(open_pool, owner):
    now = datetime.now(UTC)
    counts = [
        ("few/app:shop", MINUTE, now - timedelta(minutes=1), "kept"),
        ("few/app:shop", MINUTE, now - timedelta(minutes=3), "gone"),
        ("few/app:shop", DAY, now - timedelta(days=1), "kept"),
        ("few/app:shop", DAY, now - timedelta(days=3), "gone"),
        ("unusual.rate/app:shop", HOUR, now - timedelta(days=7), "kept"),
        ("unusual.rate/app:shop", HOUR, now - timedelta(days=9), "gone"),
    ]
    await owner.executemany("INSERT INTO reveal_counts VALUES ($1, $2, $3, 1)", [count[:3] for count in counts])
    await rows.VelocityRows(await open_pool(size=1)).clean(now)
    left = await owner.fetch("SELECT subject, seconds, began FROM reveal_counts")
    assert {tuple(row) for row in left} == {count[:3] for count in counts if count[3] == "kept"}


async def test_waits_that_are_over_are_deleted_and_stops_stay(open_vault, owner):
    vault = await open_vault()
    now = datetime.now(UTC)
    stops = [("app:shop", None), ("app:a", now - timedelta(hours=1)), ("app:b", now + timedelta(hours=1))]
    await owner.executemany("INSERT INTO stops VALUES ($1, 'few', now(), $2)", stops)
    await vault.purge_tokens()
    assert {row["subject"] for row in await owner.fetch("SELECT subject FROM stops")} == {"app:shop", "app:b"}
