"""`panless serve` reads its configuration and its secrets again: on SIGHUP and on a timer, whole or not at all."""

from __future__ import annotations

import asyncio
import re
import signal

import aiohttp
import pytest

from tests.harness import configuration
from tests.harness.openbao import running
from tests.harness.process import PanlessProcess, panless, serving
from tests.harness.upstream import Answer, recording

OLD, NEW, NEWER = ("the gateway's secret, " + each for each in ("old", "new", "newer"))


class World:
    """A Panless whose gateway secret is in OpenBao."""

    def __init__(self, process, gateway, client, bao):
        self.process, self.gateway, self.client, self.bao = process, gateway, client, bao
        self.key = ""
        self.text = process.config.read_text()

    async def put(self, secret: str) -> None:
        await self.bao.call("POST", "secret/data/pay", {"data": {"key": secret}})

    async def hang_up(self, text: str | None = None) -> None:
        """Write another configuration, or not, send SIGHUP, and wait until it was dealt with."""
        if text is not None:
            self.process.config.write_text(text)
        before = await self.counted()
        self.process.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while await self.counted() == before:
                await asyncio.sleep(0.05)

    async def counted(self) -> float:
        async with self.client.get(self.process.urls["admin"] + "/metrics") as answer:
            found = re.findall(r"^panless_config_reloads_total\S* (\S+)", await answer.text(), re.MULTILINE)
        return sum(map(float, found))

    async def get(self, path: str = "/gateway/x") -> tuple[int, str]:
        url = self.process.urls["outbound"] + path
        async with self.client.get(url, headers={"Panless-Key": self.key}) as answer:
            return answer.status, answer.headers.get("Panless-Error", "")

    @property
    def arrived(self) -> str:
        return self.gateway.last.header("Authorization").removeprefix("Bearer ")

    async def events(self) -> list[dict]:
        right = self.process.config.with_name("right.toml")
        right.write_text(self.text)
        events = await PanlessProcess(right).events()
        return [each for each in events if each["action"].startswith("config.")]


@pytest.fixture(scope="module")
async def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reload")
    (folder / "bao").mkdir()
    async with running(folder / "bao") as bao, recording() as gateway, aiohttp.ClientSession() as client:
        await bao.mount_kv()
        await bao.call("POST", "secret/data/pay", {"data": {"key": OLD}})
        head = f'[secrets.transit-kv]\naddress = "{bao.url}"\nca = "bao/ca.pem"\ntoken = "file:token"\n'
        config = configuration.write(folder, gateway.url, gateway.url, head=head)
        config.write_text(config.read_text().replace("file:gateway.key", "transit-kv:pay#key"))
        (folder / "token").write_text(bao.root)
        async with serving(config) as process:
            made = World(process, gateway, client, bao)
            made.key = await process.add_app("shop")
            yield made
        assert not any(secret in process.log for secret in (OLD, NEW, NEWER, bao.root))


@pytest.fixture
async def world(shared):
    """As it was at the start, also after a test that failed."""
    shared.gateway.reset()
    await shared.put(OLD)
    await shared.hang_up(shared.text)
    return shared


async def test_a_rotated_secret_reaches_the_gateway_and_its_name_the_audit_log(world):
    assert (await world.get(), world.arrived) == ((200, ""), OLD)
    await world.put(NEW)
    assert (await world.get(), world.arrived) == ((200, ""), OLD)
    await world.hang_up()
    assert (await world.get(), world.arrived) == ((200, ""), NEW)
    last = (await world.events())[-1]
    assert (last["action"], last["outcome"]) == ("config.change", "permitted")
    assert re.fullmatch(r"sha256 [0-9a-f]{64}; secrets changed: transit-kv:pay#key", last["reason"])


async def test_nothing_new_is_no_event(world):
    before = await world.events()
    await world.hang_up()
    assert await world.events() == before


async def test_an_app_that_is_removed_from_a_route_is_refused_and_a_new_route_is_there(world):
    changed = world.text.replace('"shop", "foreign"', '"foreign"')
    changed += f'[[outbound]]\nname = "more"\npath = "/more/"\nupstream = "{world.gateway.url}"\napps = ["shop"]\n'
    assert [await world.get("/gateway/x"), await world.get("/more/x")] == [(200, ""), (404, "route_not_found")]
    await world.hang_up(changed)
    assert [await world.get("/gateway/x"), await world.get("/more/x")] == [(403, "not_permitted"), (200, "")]


async def test_limits_and_fields_change_too(world):
    await world.hang_up(world.text.replace("[listen]", "[limits]\nbody_bytes = 1024\n[listen]", 1))
    url = world.process.urls["inbound"] + "/checkout"
    async with world.client.post(url, json={"a": "x" * 2000}) as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("[listen]", "[listen"), "config_invalid"),
        (("pay#key", "nobody#key"), "config_invalid"),
        (("[listen]", "unknown = 1\n[listen]"), "config_invalid"),
        (('data_dir = "data"', 'data_dir = "elsewhere"'), "restart_needed"),
        (("admin    = { bind", "forward = { bind = '127.0.0.1:0' }\nadmin = { bind"), "restart_needed"),
        (('path       = "/gateway/"', 'path       = "/gateway/"\nbind = "127.0.0.1:0"'), "restart_needed"),
        (("[listen]", "[vault]\ncvc_attempts = 1\n[listen]"), "restart_needed"),
    ],
)
async def test_what_is_wrong_or_needs_a_restart_changes_nothing(world, change, code):
    await world.put(NEW)
    changed = world.text.replace('"shop", "foreign"', '"foreign"').replace(*change)
    assert world.text != changed
    await world.hang_up(changed)
    assert (await world.get(), world.arrived) == ((200, ""), OLD)
    last = (await world.events())[-1]
    assert (last["action"], last["outcome"], last["code"]) == ("config.rejected", "denied", code)
    assert NEW not in last["reason"]


async def test_a_request_under_way_ends_as_it_began(world):
    world.gateway.answer = Answer(delay=1.5)
    going = asyncio.create_task(world.get())
    async with asyncio.timeout(10):
        while not world.gateway.received:
            await asyncio.sleep(0.02)
    await world.hang_up(world.text.replace('"shop", "foreign"', '"foreign"'))
    assert not going.done()
    assert (await world.get())[0] == 403
    assert await going == (200, "")


async def test_the_timer_reads_again_too(world):
    await world.hang_up(
        world.text.replace("[secrets.transit-kv]", "[secrets]\nrefresh_seconds = 0.2\n[secrets.transit-kv]")
    )
    await world.put(NEWER)
    async with asyncio.timeout(20):
        while not (await world.get() == (200, "") and world.arrived == NEWER):
            await asyncio.sleep(0.1)


async def test_a_secret_that_is_not_there_is_told_by_check_and_stops_the_start(world, tmp_path):
    wrong = world.process.config.with_name("wrong.toml")
    wrong.write_text(world.text.replace("pay#key", "pay#other"))
    assert (await panless("check", "-c", world.process.config)).code == 0
    for command in ("check", "serve"):
        done = await panless(command, "-c", wrong)
        assert done.code == 2, done.err
        assert "outbound.0.credential.secret: transit-kv:pay has no text in other" in done.err
