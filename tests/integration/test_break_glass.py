"""Break glass: two people, a reason, a time, one token, once; and the value stands nowhere but on that terminal."""

from __future__ import annotations

import json
import re
import shlex

import aiohttp
import pytest

from tests.harness import configuration
from tests.harness.collectors import Collector, collecting
from tests.harness.commands import COMMAND
from tests.harness.process import panless, serving
from tests.harness.terminal import Terminal
from tests.harness.upstream import recording

PAN = "4000056655665556"
REASON = "chargeback 4711, asked for by the bank"
HOOK = """
[[audit.sink]]
name = "alarm"
type = "http"
what = "events"
url  = "{url}"
only = ["break_glass.*"]
"""
PEOPLE = {"ann": "operator", "bob": "approver"}


class World:
    def __init__(self, running, token: str, cvc: str, hook: Collector):
        self.running, self.token, self.cvc, self.hook = running, token, cvc, hook
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

    def show(self, who: str, request: str) -> str:
        words = [*COMMAND, "reveal", "--show", request, "--key-from", f"file:{who}.key"]
        return shlex.join([*words, "-c", str(self.running.config)]) + "\n"


@pytest.fixture(scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glass")
    async with recording() as app, aiohttp.ClientSession() as client, collecting() as hook:
        head = "[break_glass]\nenabled = true\n" + HOOK.format(url=hook.url)
        config = configuration.write(folder, app.url, app.url, head=head)
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
            yield World(running, card["number"], card["cvc"], hook)


async def test_who_asked_sees_the_value_on_a_terminal_once_and_it_is_nowhere_else(world, tmp_path):
    request = await world.approved()
    await world.refused("break_glass_no_terminal", "ann", "--show", request)  # a pipe; nothing is spent
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
        ("break_glass.reveal", "ann", "denied", "break_glass_no_terminal", REASON),
        ("break_glass.reveal", "ann", "permitted", None, REASON),
        ("break_glass.reveal", "ann", "denied", "break_glass_spent", REASON),
    ]
    assert '"action": "break_glass.reveal"' in terminal.screen.decode("utf-8", "replace")  # the alert
    files = [path for path in (*world.folder.rglob("*"), *(tmp_path / "home").rglob("*")) if path.is_file()]
    assert len(files) > 500
    assert [path for path in files if PAN.encode() in path.read_bytes()] == []
    assert PAN not in json.dumps(await world.running.events())
    assert (await panless("audit", "verify", "-c", world.running.config)).code == 0


async def test_every_step_has_reached_the_alert_hook_before_anything_is_shown(world, tmp_path):
    request = await world.approved()
    heard = [json.loads(line) for line in world.hook.lines]
    assert [each["action"] for each in heard if each["request_id"] == request] == [
        "break_glass.request",
        "break_glass.approve",
    ]
    world.hook.statuses = [500] * 1000
    try:
        async with Terminal(tmp_path / "home") as terminal:
            await terminal.until("shell> ")
            terminal.type(world.show("ann", request))
            await terminal.until("audit_sink_failed")
            await terminal.leave()
    finally:
        world.hook.statuses = []
    assert PAN.encode() not in terminal.screen
    await world.refused("break_glass_spent", "ann", "--show", request)
    await world.asked()  # with what is due of it, the hook gets what it did not take before
    heard = [json.loads(line) for line in world.hook.lines]
    shown = [each for each in heard if each["request_id"] == request and each["action"] == "break_glass.reveal"]
    assert shown[0]["outcome"] == "permitted"


async def test_it_is_off_unless_it_is_switched_on(world):
    off = world.running.config.with_name("off.toml")
    await world.refused("break_glass_disabled", "ann", world.token, "--reason", REASON, config=off)


async def test_a_key_is_never_an_argument(world):
    key = (world.folder / "ann.key").read_text()
    done = await panless("reveal", world.token, "--reason", "x", "--key-from", key, "-c", world.running.config)
    assert (done.code, key in done.err) == (2, False)
    assert not re.search(r"plo_[a-z2-7]{20}", json.dumps(await world.running.events()))


async def test_a_reason_is_needed_and_is_no_place_for_a_card(world):
    for arguments in ((), ("--reason", " "), ("--reason", f"card {PAN}"), ("--reason", "x" * 501)):
        done = await world.reveal("ann", world.token, *arguments)
        assert (done.code, PAN in done.err) == (2, False)
