"""The commands: exit codes, messages that say what to do, JSON for machines (DESIGN's contract)."""

from __future__ import annotations

import json
import re

import pytest

from tests.harness import configuration
from tests.harness.process import panless


@pytest.mark.usefixtures("own_interpreter")
async def test_help_teaches():
    done = await panless("--help")
    assert done.code == 0
    for word in ("panless demo", "panless serve --config", "audit verify", "Exit codes"):
        assert word in done.out


@pytest.mark.parametrize("arguments", [["serve"], ["nothing"], ["audit", "list", "--outcome", "x", "-c", "f"]])
async def test_wrong_usage_exits_with_2(arguments):
    done = await panless(*arguments)
    assert done.code == 2
    assert "Usage" in done.err


async def test_missing_configuration_exits_with_2(tmp_path):
    done = await panless("serve", "--config", tmp_path / "none.toml")
    assert done.code == 2
    assert str(tmp_path / "none.toml") in done.err
    assert "Traceback" not in done.err


async def test_check_shows_routes_and_no_secrets(tmp_path):
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2")
    done = await panless("check", "-c", config)
    assert done.code == 0
    assert "The configuration is right." in done.out
    assert "pan $.card.number" in done.out
    assert configuration.GATEWAY_SECRET not in done.out


async def test_check_finds_a_missing_secret(tmp_path):
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2")
    (tmp_path / "gateway.key").unlink()
    done = await panless("check", "-c", config)
    assert done.code == 2
    assert "outbound.0.credential.secret" in done.err
    assert "gateway.key cannot be read" in done.err


async def test_example_configuration_is_right(tmp_path):
    from pathlib import Path

    example = Path(__file__).parents[2] / "config" / "panless.example.toml"
    config = tmp_path / "panless.toml"
    config.write_text(example.read_text())
    names = re.findall(r"env:([A-Z_]+)", re.sub(r"^\s*#.*$", "", example.read_text(), flags=re.MULTILINE))
    done = await panless("check", "-c", config, env=dict.fromkeys(names, "x"))
    assert done.code == 0, done.err


async def test_app_add_list_revoke(world):
    key = await world.panless.add_app("kiosk", tenant="north")
    assert re.fullmatch(r"plk_[a-z2-7]{58}", key)
    config = world.panless.config
    (row,) = [r for r in json.loads((await panless("app", "list", "--json", "-c", config)).out) if r["app"] == "kiosk"]
    assert (row["tenant"], row["active_keys"], row["revoked_keys"]) == ("north", 1, 0)
    assert "kiosk" in (await panless("app", "list", "-c", config)).out
    other = await panless("app", "add", "kiosk", "--tenant", "south", "-c", config)
    assert other.code == 1
    assert "another tenant" in other.err
    done = await panless("app", "revoke", "kiosk", "-c", config)
    assert (done.code, done.out) == (0, "1 key of kiosk revoked.\n")
    again = await panless("app", "revoke", "kiosk", "-c", config)
    assert again.code == 1
    actions = [event["action"] for event in await world.panless.events("--app", "kiosk")]
    assert actions == ["app.add", "app.revoke"]


async def test_audit_list_filters_and_is_readable(world):
    card = await world.tokens("4988438843884305", "111")
    async with world.charge(card, headers={"X-Request-Id": "readable"}) as answer:
        assert answer.status == 200
    config = world.panless.config
    done = await panless("audit", "list", "-c", config, "--token", card["number"])
    assert done.code == 0
    for word in ("tokenize", "reveal", "permitted", "shop", "gateway", card["number"], "readable"):
        assert word in done.out
    tokens = await world.panless.events("--token", card["number"])
    assert [event["action"] for event in tokens] == ["tokenize", "reveal"]
    assert await world.panless.events("--token", card["number"], "--route", "checkout") == tokens[:1]
    assert await world.panless.events("--token", card["number"], "--outcome", "denied") == []
    assert await world.panless.events("--token", card["number"], "--app", "shop") == tokens[1:]
    assert await world.panless.events("--token", card["number"], "--since", "2999-01-01") == []
    assert await world.panless.events("--token", card["number"], "--until", "2999-01-01") == tokens


async def test_audit_verify_says_what_is_wrong_where(tmp_path):
    from tests.harness.external import external

    async with external(tmp_path / "pg") as database:
        config = configuration.write(
            tmp_path / "c", "http://127.0.0.1:1", "http://127.0.0.1:2", head=f'[database]\nurl = "{database.url}"\n'
        )
        assert (await panless("migrate", "-c", config)).code == 0
        for name in ("one", "two", "three"):
            assert (await panless("app", "add", name, "-c", config)).code == 0
        done = await panless("audit", "verify", "-c", config)
        assert (done.code, done.out.splitlines()[0]) == (0, "4 events in 4 chains: whole and unchanged.")
        await database.execute(
            "UPDATE audit_events SET body = replace(convert_from(body, 'UTF8'), 'two', 'six')::bytea, app = 'six' "
            "WHERE app = 'two'"
        )
        done = await panless("audit", "verify", "-c", config)
        assert done.code == 1
        assert "event 1: the body does not have the hash" in done.out
        document = json.loads((await panless("audit", "verify", "--json", "-c", config)).out)
        assert document["events"] == 4
        # The event itself, and the chain that began after it.
        assert [each["kind"] for each in document["findings"]] == ["changed", "changed"]


async def test_key_file_is_never_replaced(tmp_path):
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2", head='[keys]\npath = "kek"\n')
    assert (await panless("keys", "init", "-c", config)).code == 0
    before = (tmp_path / "kek").read_bytes()
    assert (await panless("keys", "init", "-c", config)).code == 1
    assert (tmp_path / "kek").read_bytes() == before


async def test_another_kek_is_noticed_at_the_start(tmp_path):
    import aiohttp

    from tests.harness.process import serving

    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2")
    async with serving(config) as running, aiohttp.ClientSession() as client:
        await client.post(f"{running.urls['inbound']}/checkout", json={"card": {"number": "4242424242424242"}})
    kek = tmp_path / "data" / "kek"
    kek.rename(tmp_path / "kept")
    assert (await panless("keys", "init", "-c", config)).code == 0
    done = await panless("serve", "-c", config)
    assert done.code == 1
    assert "does not hold it" in done.err
    (tmp_path / "kept").replace(kek)
    async with serving(config):
        pass


async def test_lost_kek_is_noticed_and_not_replaced(tmp_path):
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2")
    from tests.harness.process import serving

    async with serving(config) as running:
        import aiohttp

        async with aiohttp.ClientSession() as client:
            # The upstream is down, but the card is in the vault before it is asked.
            await client.post(f"{running.urls['inbound']}/checkout", json={"card": {"number": "4242424242424242"}})
    (tmp_path / "data" / "kek").unlink()
    done = await panless("serve", "-c", config)
    assert done.code == 1
    assert "kek is missing" in done.err
    assert not (tmp_path / "data" / "kek").exists()
