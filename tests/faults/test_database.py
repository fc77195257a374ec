"""A database of one's own: migrated by its owner, down, full, and back again (promise 1)."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from tests.harness import configuration
from tests.harness.external import external
from tests.harness.process import PanlessProcess, panless, serving
from tests.harness.upstream import recording
from vault.upkeep.migrate import migrations

CARD = {"card": {"number": "4242424242424242", "cvc": "123"}}


@pytest.fixture
async def parts(tmp_path):
    async with external(tmp_path / "pg") as database, recording() as app, recording() as gateway:
        head = '[database]\nurl = "env:DATABASE_URL"\n[keys]\npath = "kek"\n'
        config = configuration.write(tmp_path / "panless", app.url, gateway.url, head=head)
        yield database, config, app, gateway, {"DATABASE_URL": database.url}


async def test_serve_refuses_an_external_database_until_it_is_migrated(parts):
    _database, config, _app, _gateway, env = parts
    assert (await panless("keys", "init", "-c", config, env=env)).code == 0
    refused = await panless("serve", "-c", config, env=env)
    assert refused.code == 1
    assert "panless migrate" in refused.err
    assert "ready" not in refused.out
    migrated = await panless("migrate", "-c", config, env=env)
    assert migrated.code == 0, migrated.err
    assert f"{len(migrations())} migrations applied" in migrated.out
    assert "Nothing to do" in (await panless("migrate", "-c", config, env=env)).out
    async with serving(config, env):
        pass


async def test_external_database_without_a_kek_is_refused(parts):
    _database, config, _app, _gateway, env = parts
    assert (await panless("migrate", "-c", config, env=env)).code == 0
    refused = await panless("serve", "-c", config, env=env)
    assert refused.code == 1
    assert "kek" in refused.err


async def test_each_role_may_have_a_user_of_its_own(parts, tmp_path):
    database, config, app, _gateway, _env = parts
    config.write_text(
        config.read_text().replace(
            'url = "env:DATABASE_URL"',
            f'url = "{database.url_of("panless_proxy")}"\n'
            f'owner_url = "{database.url_of("panless_owner")}"\n'
            f'auditor_url = "{database.url_of("panless_auditor")}"',
        )
    )
    assert (await panless("migrate", "-c", config)).code == 0
    assert (await panless("keys", "init", "-c", config)).code == 0
    async with serving(config) as running, aiohttp.ClientSession() as client:
        async with client.post(f"{running.urls['inbound']}/checkout", json=CARD) as answer:
            assert answer.status == 200
        assert app.last.json()["card"]["number"].startswith("tok_")
        assert (await running.events("--action", "tokenize"))[0]["outcome"] == "permitted"


async def test_changed_migration_is_refused(parts):
    database, config, _app, _gateway, env = parts
    assert (await panless("migrate", "-c", config, env=env)).code == 0
    await database.execute("UPDATE panless_migrations SET sha256 = 'x' WHERE number = 2")
    refused = await panless("migrate", "-c", config, env=env)
    assert refused.code == 1
    assert "0002_create_vault.sql differs" in refused.err


async def test_two_migrations_at_once_do_the_work_once(parts):
    _database, config, _app, _gateway, env = parts
    both = await asyncio.gather(*(panless("migrate", "-c", config, env=env) for _ in range(2)))
    assert [done.code for done in both] == [0, 0]
    applied = f"{len(migrations())} migrations"
    assert sorted(re.findall(rf"{applied}|Nothing", both[0].out + both[1].out)) == [applied, "Nothing"]


async def _ready(parts) -> PanlessProcess:
    _database, config, _app, _gateway, env = parts
    assert (await panless("migrate", "-c", config, env=env)).code == 0
    assert (await panless("keys", "init", "-c", config, env=env)).code == 0
    return PanlessProcess(config, env)


async def test_database_that_is_down_refuses_requests_and_comes_back(parts):
    database, _config, app, gateway, env = parts
    running = await _ready(parts)
    async with aiohttp.ClientSession() as client, serving(running.config, env) as running:
        key = await running.add_app("shop")
        inbound, outbound = running.urls["inbound"], running.urls["outbound"]
        async with client.post(f"{inbound}/checkout", json=CARD) as answer:
            assert answer.status == 200
        card = app.last.json()["card"]
        await database.stop()
        requests = [
            client.post(f"{inbound}/checkout", json=CARD),
            client.post(f"{outbound}/gateway/x", json={"card": card}, headers={"Panless-Key": key}),
        ]
        for request in requests:
            async with request as answer:
                assert (answer.status, answer.headers["Panless-Error"]) == (503, "database_unavailable")
                assert answer.headers["Retry-After"]
        async with client.get(f"{running.urls['admin']}/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["code"] == "database_unavailable"
        async with client.get(f"{running.urls['admin']}/healthz") as answer:
            assert answer.status == 200
        async with client.put(f"{inbound}/upload/x", data=b"without fields") as answer:
            assert answer.status == 200, "what needs no vault goes on"
        assert len(app.received) == 2
        assert gateway.received == []
        await database.start()
        async with client.post(
            f"{outbound}/gateway/x", json={"card": {"number": card["number"]}}, headers={"Panless-Key": key}
        ) as answer:
            assert answer.status == 200
        assert gateway.last.json()["card"]["number"] == "4242424242424242"


async def test_database_that_is_full_refuses_requests_and_reveals_nothing(parts):
    database, _config, app, gateway, env = parts
    running = await _ready(parts)
    async with aiohttp.ClientSession() as client, serving(running.config, env) as running:
        key = await running.add_app("shop")
        async with client.post(f"{running.urls['inbound']}/checkout", json=CARD) as answer:
            assert answer.status == 200
        card = app.last.json()["card"]
        # The server's own answer to a full disk, SQLSTATE 53100, on every write to the log.
        await database.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no space: %', NEW USING ERRCODE = '53100'; END $$;"
            "CREATE TRIGGER full_disk BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
        async with client.post(f"{running.urls['inbound']}/checkout", json=CARD) as answer:
            assert (answer.status, answer.headers["Panless-Error"]) == (503, "database_full")
        async with client.post(
            f"{running.urls['outbound']}/gateway/x", json={"card": card}, headers={"Panless-Key": key}
        ) as answer:
            assert (answer.status, answer.headers["Panless-Error"]) == (503, "database_full")
        assert gateway.received == [], "no reveal without a record"
        assert len(app.received) == 1
        await database.execute("DROP TRIGGER full_disk ON audit_events")
        async with client.post(
            f"{running.urls['outbound']}/gateway/x", json={"card": card}, headers={"Panless-Key": key}
        ) as answer:
            assert answer.status == 200
        assert gateway.last.json()["card"] == CARD["card"]
        done = await panless("audit", "verify", "-c", running.config, env=env)
        assert done.code == 0, done.out
