"""Break glass: two people, a reason, a time, one token, once; and the value stands nowhere but on that terminal."""

from __future__ import annotations

import asyncio
import json
import re
import shlex

import aiohttp
import asyncpg
import pytest

from tests.harness import configuration
from tests.harness.embedded import value as one_value
from tests.harness.process import COMMAND, panless, serving
from tests.harness.terminal import Terminal
from tests.harness.upstream import recording

PAN = "4000056655665556"
REASON = "chargeback 4711, asked for by the bank"
PEOPLE = {"ann": "operator", "abe": "operator", "bob": "approver", "bea": "approver", "cleo": "auditor"}


class World:
    def __init__(self, running, token: str, cvc: str):
        self.running, self.token, self.cvc = running, token, cvc
        self.folder = running.config.parent

    async def reveal(self, who: str, *arguments: str, config=None):
        key_from = f"file:{who}.key"
        return await panless("reveal", *arguments, "--key-from", key_from, "-c", config or self.running.config)

    async def asked(self, who: str = "ann") -> str:
        done = await self.reveal(who, self.token, "--reason", REASON)
        assert done.code == 0, done.err
        return done.out.strip()

    async def approved(self) -> str:
        request = await self.asked()
        done = await self.reveal("bob", "--approve", request)
        assert done.code == 0, done.err
        return request

    async def refused(self, code: str, who: str, *arguments: str, config=None) -> None:
        done = await self.reveal(who, *arguments, config=config)
        assert (done.code, done.out) == (1, "")
        assert f"[{code}]" in done.err, done.err
        assert PAN not in done.err
        last = (await self.events())[-1]
        assert (last["outcome"], last["code"], last["operator"]) == ("denied", code, who)

    async def events(self) -> list[dict]:
        found = await self.running.events()
        return [each for each in found if each["action"].startswith(("break_glass.", "operator.sign_in"))]

    async def execute(self, sql: str, *arguments) -> None:
        host = str(self.folder / "data" / "run")
        connection = await asyncpg.connect(host=host, user="panless_owner", database="panless", ssl=False)
        try:
            await connection.execute(sql, *arguments)
        finally:
            await connection.close()

    def show(self, who: str, request: str) -> str:
        words = [*COMMAND, "reveal", "--show", request, "--key-from", f"file:{who}.key"]
        return shlex.join([*words, "-c", str(self.running.config)]) + "\n"


@pytest.fixture(scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glass")
    async with recording() as app, aiohttp.ClientSession() as client:
        config = configuration.write(folder, app.url, app.url, head="[break_glass]\nenabled = true\n")
        config.with_name("off.toml").write_text(config.read_text().replace("enabled = true", "enabled = false"))
        async with serving(config) as running:
            for name, role in PEOPLE.items():
                done = await panless("operator", "add", name, "--role", role, "--json", "-c", config)
                (folder / f"{name}.key").write_text(json.loads(done.out)["key"])
            async with client.post(
                running.urls["inbound"] + "/checkout", json={"card": {"number": PAN, "cvc": "737"}}
            ) as answer:
                assert answer.status == 200
            card = app.last.json()["card"]
            yield World(running, card["number"], card["cvc"])


async def test_who_asked_sees_the_value_on_a_terminal_once_and_it_is_nowhere_else(world, tmp_path):
    request = await world.approved()
    async with Terminal(tmp_path / "home") as terminal:
        await terminal.until("shell> ")
        terminal.type(world.show("ann", request))
        await terminal.until(PAN)
        assert terminal.screen.index(b"\x1b[?1049h") < terminal.screen.index(PAN.encode())
        shown = len(terminal.screen)
        terminal.type("\n")
        await terminal.until("\x1b[?1049l", shown)
        await terminal.until("shell> ", shown)
        again = len(terminal.screen)
        terminal.type(world.show("ann", request))
        await terminal.until("break_glass_spent", again)
        await terminal.leave()
    assert terminal.screen.count(PAN.encode()) == 1
    steps = [
        (each["action"], each["operator"], each["outcome"], each.get("code"), each["reason"])
        for each in await world.events()
        if each.get("request_id") == request
    ]
    assert steps == [
        ("break_glass.request", "ann", "permitted", None, REASON),
        ("break_glass.approve", "bob", "permitted", None, REASON),
        ("break_glass.reveal", "ann", "permitted", None, REASON),
        ("break_glass.reveal", "ann", "denied", "break_glass_spent", REASON),
    ]
    assert '"action": "break_glass.reveal"' in terminal.screen.decode("utf-8", "replace")  # the alert
    files = [path for path in (*world.folder.rglob("*"), *(tmp_path / "home").rglob("*")) if path.is_file()]
    assert len(files) > 500
    assert [path for path in files if PAN.encode() in path.read_bytes()] == []
    assert PAN not in json.dumps(await world.running.events())
    assert (await panless("audit", "verify", "-c", world.running.config)).code == 0


async def test_two_terminals_at_once_show_it_once(world, tmp_path):
    request = await world.approved()
    async with Terminal(tmp_path / "one") as one, Terminal(tmp_path / "two") as two:
        for terminal in (one, two):
            await terminal.until("shell> ")
        for terminal in (one, two):
            terminal.type(world.show("ann", request))
        ends = [asyncio.create_task(each.until_any(PAN, "break_glass_spent")) for each in (one, two)]
        assert sorted(await asyncio.gather(*ends)) == sorted([PAN, "break_glass_spent"])


async def test_nobody_sees_it_alone(world):
    request = await world.asked("bob")
    await world.refused("break_glass_own_request", "bob", "--approve", request)
    await world.refused("operator_not_permitted", "ann", "--approve", request)
    await world.refused("operator_not_permitted", "cleo", "--approve", request)
    await world.refused("operator_not_permitted", "cleo", world.token, "--reason", REASON)
    await world.refused("break_glass_not_approved", "bob", "--show", request)
    # Neither can the database be made to say so by mistake.
    with pytest.raises(asyncpg.CheckViolationError):
        await world.execute("UPDATE break_glass SET approved_by = requested_by, approved_at = now()")
    assert (await world.reveal("bea", "--approve", request)).code == 0
    await world.refused("break_glass_approved", "bea", "--approve", request)
    await world.refused("break_glass_not_yours", "abe", "--show", request)
    await world.refused("break_glass_not_yours", "bea", "--show", request)


async def test_without_a_terminal_nothing_is_shown_and_nothing_is_spent(world):
    request = await world.approved()
    await world.refused("break_glass_no_terminal", "ann", "--show", request)
    spent = f"SELECT count(*) FROM break_glass WHERE id = '{request}' AND revealed_at IS NOT NULL"
    assert await one_value(world.running.config, spent) == 0


async def test_time_runs_out(world):
    asked, approved = await world.asked(), await world.approved()
    await world.execute("UPDATE break_glass SET expires_at = now() WHERE id = ANY($1::uuid[])", [asked, approved])
    await world.refused("break_glass_expired", "bob", "--approve", asked)
    await world.refused("break_glass_expired", "ann", "--show", approved)
    await world.refused("break_glass_unknown", "bob", "--approve", "00000000-0000-7000-8000-000000000000")


async def test_verification_codes_and_what_is_no_token_cannot_be_asked_for(world):
    await world.refused("token_malformed", "ann", world.cvc, "--reason", REASON)
    await world.refused("token_malformed", "ann", "4242", "--reason", REASON)
    await world.refused("token_unknown", "ann", "tok_01h455vb4pex5vsknk084sn02q", "--reason", REASON)


async def test_it_is_off_unless_it_is_switched_on(world):
    off = world.running.config.with_name("off.toml")
    await world.refused("break_glass_disabled", "ann", world.token, "--reason", REASON, config=off)


async def test_a_key_is_never_an_argument_and_a_wrong_one_is_recorded(world):
    key = (world.folder / "ann.key").read_text()
    done = await panless("reveal", world.token, "--reason", "x", "--key-from", key, "-c", world.running.config)
    assert (done.code, key in done.err) == (2, False)
    (world.folder / "wrong.key").write_text("plo_wrong")
    done = await world.reveal("wrong", world.token, "--reason", REASON)
    assert (done.code, "operator_unknown" in done.err) == (1, True)
    assert (await world.events())[-1]["code"] == "operator_unknown"
    assert not re.search(r"plo_[a-z2-7]{20}", json.dumps(await world.running.events()))


async def test_a_reason_is_needed_and_is_no_place_for_a_card(world):
    for arguments in ((), ("--reason", " "), ("--reason", f"card {PAN}"), ("--reason", "x" * 501)):
        done = await world.reveal("ann", world.token, *arguments)
        assert (done.code, PAN in done.err) == (2, False)


async def test_a_record_that_does_not_open_is_a_failed_reveal(world, tmp_path):
    request = await world.approved()
    await world.execute("UPDATE tokens SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)")
    try:
        async with Terminal(tmp_path / "home") as terminal:
            await terminal.until("shell> ")
            terminal.type(world.show("ann", request))
            await terminal.until("record_corrupt")
    finally:
        await world.execute("UPDATE tokens SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)")
    last = (await world.events())[-1]
    assert (last["action"], last["outcome"], last["code"]) == ("break_glass.reveal", "failed", "record_corrupt")
