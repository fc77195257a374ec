"""`panless serve` with two workers: they serve as one, end as one, and change as one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
import pytest

from proxy.cli.running import opened
from tests.harness import configuration
from tests.harness.custodians import HEAD, ceremony, unseal
from tests.harness.process import PanlessProcess, panless, serving
from tests.harness.upstream import Answer, recording
from tests.harness.waiting import until
from vault.store.database import Role

CARD = {"card": {"number": "4242424242424242"}}


class World:
    """Two workers before one upstream, which is application and gateway. Each request has a connection of its own."""

    def __init__(self, process: PanlessProcess, upstream, client: aiohttp.ClientSession) -> None:
        self.process, self.upstream, self.client = process, upstream, client
        self.key = ""
        self.text = process.config.read_text()

    def lines(self, event: str, **members) -> list[dict]:
        found = [json.loads(line) for line in self.process.log.splitlines() if line.startswith("{")]
        return [each for each in found if {"event": event, **members}.items() <= each.items()]

    def workers(self) -> dict[int, int]:
        """The pid of each worker."""
        return {line["worker"]: line["process"] for line in self.lines("worker_ready")}

    async def checkout(self) -> int:
        async with self.client.post(self.process.urls["inbound"] + "/checkout", json=CARD) as answer:
            return answer.status

    async def ask(self, key: str | None = None, path: str = "/gateway/x") -> tuple[int, str]:
        headers = {"Panless-Key": key or self.key}
        async with self.client.get(self.process.urls["outbound"] + path, headers=headers) as answer:
            return answer.status, answer.headers.get("Panless-Error", "")

    async def of_each(self, key: str | None = None, path: str = "/gateway/x") -> set[tuple[int, str]]:
        """What both workers answer, each asked until it has answered."""
        answers, before = set(), len(self.lines("request"))
        while True:
            answers |= set(await asyncio.gather(*(self.ask(key, path) for _ in range(4))))
            if {line["worker"] for line in self.lines("request")[before:]} == {1, 2}:
                return answers

    async def metrics(self) -> dict[str, float]:
        async with self.client.get(self.process.urls["admin"] + "/metrics") as answer:
            text = await answer.text()
        return {name: float(value) for name, value in re.findall(r"^(\w+(?:{.*})?) (\S+)$", text, re.MULTILINE)}

    async def running(self, restarts: float) -> bool:
        found = await self.metrics()
        return (found["panless_workers"], found["panless_worker_restarts_total"]) == (2, restarts)

    async def back(self, before: dict[str, float]) -> None:
        """Wait for one that was started again."""
        await until(lambda: self.running(before["panless_worker_restarts_total"] + 1))

    async def hang_up(self, text: str) -> str:
        """Write another configuration, send SIGHUP, and return what the supervisor says to it."""
        events = ("config_applied", "config_rejected")
        before = [len(self.lines(event)) for event in events]
        self.process.config.write_text(text)
        os.kill(self.process.pid, signal.SIGHUP)

        async def told() -> bool:
            return [len(self.lines(event)) for event in events] != before

        await until(told)
        return next(e for e, count in zip(events, before, strict=True) if len(self.lines(e)) != count)


def written(folder, url: str, head: str = "workers = 2\n"):
    return configuration.write(folder, url, url, head=head)


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


@pytest.fixture(scope="module")
async def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    async with recording() as upstream, session() as client:
        async with serving(written(folder, upstream.url)) as process:
            made = World(process, upstream, client)
            made.key = await process.add_app("shop")
            yield made
        assert not (folder / "data" / "postgres" / "postmaster.pid").exists()
        assert not made.lines("stop_not_recorded") and len(made.lines("stopped")) >= 3, process.log
        async with opened(process.config) as database:
            connection = await database.connect(Role.OWNER)
            # What each worker wrote at its end is covered, too, though they ended at the same moment.
            uncovered = "SELECT (SELECT count(*) FROM audit_events) - (SELECT max(size) FROM audit_checkpoints)"
            assert await connection.fetchval(uncovered) == 0
            await connection.close()
        done = await panless("audit", "verify", "-c", process.config)
        assert done.code == 0, done.out + done.err


@pytest.fixture
async def world(shared):
    shared.upstream.reset()
    if shared.process.config.read_text() != shared.text:
        assert await shared.hang_up(shared.text) == "config_applied"
    return shared


async def test_both_workers_answer_on_one_port(world):
    assert await world.of_each() == {(200, "")}
    assert len(set(world.workers().values()) | {world.process.pid}) == 3


async def test_metrics_are_the_sum_whichever_worker_answers(world):
    name = 'panless_requests_total{code="",listener="outbound",route="gateway",status="200"}'
    before = (await world.metrics()).get(name, 0.0)
    await world.of_each()
    asked = len(world.upstream.received)
    for _ in range(6):  # several connections, both workers
        assert (await world.metrics())[name] == before + asked


async def test_a_worker_that_is_killed_under_load_is_back_and_no_counter_goes_down(world):
    before, going, statuses = await world.metrics(), True, []

    async def load() -> None:
        while going:
            with suppress(aiohttp.ClientError):  # what the killed one had
                statuses.append(await world.checkout())

    tasks = [asyncio.create_task(load()) for _ in range(4)]
    await until(lambda: asyncio.sleep(0, len(statuses) > 60))
    last = await world.metrics()
    os.kill(world.workers()[1], signal.SIGKILL)
    count = len(statuses)
    await until(lambda: asyncio.sleep(0, len(statuses) > count + 20))
    await world.back(before)
    going = False
    await asyncio.gather(*tasks)
    now = await world.metrics()
    assert set(statuses) == {200}
    answered = 'panless_requests_total{code="",listener="inbound",route="checkout",status="200"}'
    assert now[answered] >= last[answered] + len(statuses) - count - len(tasks)
    counted = [name for name in last if re.match(r"\w+_(total|count|bucket)\b", name)]
    assert counted and not [name for name in counted if now.get(name, 0) < last[name]]
    assert world.lines("worker_ended", worker=1, status=-9)
    assert await world.of_each() == {(200, "")}


async def test_a_worker_that_is_asked_to_end_is_replaced_at_once(world):
    before = await world.metrics()
    ended = len(world.lines("worker_ended"))
    os.kill(world.workers()[2], signal.SIGTERM)
    await world.back(before)
    assert len(world.lines("worker_ended")) == ended
    assert await world.of_each() == {(200, "")}


async def test_sighup_reaches_all_and_is_one_event_and_one_count(world):
    reloads = 'panless_config_reloads_total{outcome="applied"}'
    before, events = (await world.metrics()).get(reloads, 0), await world.process.events("--action", "config.change")
    assert await world.hang_up(world.text.replace('"shop", "foreign"', '"foreign"')) == "config_applied"
    assert await world.of_each() == {(403, "not_permitted")}
    assert (await world.metrics())[reloads] == before + 1
    assert len(await world.process.events("--action", "config.change")) == len(events) + 1


@pytest.mark.parametrize(("old", "new"), [("[listen]", "[listen"), ("file:gateway.key", "file:none.key")])
async def test_a_bad_reload_leaves_all_on_the_old_one_and_so_does_a_restart(world, old, new):
    changed = world.text.replace('"shop", "foreign"', '"foreign"').replace(old, new)
    assert await world.hang_up(changed) == "config_rejected"
    before = await world.metrics()
    os.kill(world.workers()[2], signal.SIGTERM)
    await world.back(before)
    assert await world.of_each() == {(200, "")}


async def test_what_one_worker_cannot_compile_none_takes_over(world):
    for number, pid in world.workers().items():
        own = f"file:/proc/self/task/{pid}/comm"  # which is there for this worker alone
        other = world.text.replace('"shop", "foreign"', '"foreign"').replace("file:gateway.key", own)
        assert await world.hang_up(other) == "config_rejected", number
        assert await world.of_each() == {(200, "")}


async def test_a_revoked_key_is_refused_by_all(world):
    key = await world.process.add_app("foreign")
    assert await world.of_each(key) == {(200, "")}
    done = await world.process.command("app", "revoke", "foreign")
    assert done.code == 0, done.err
    assert await world.of_each(key) == {(401, "app_key_revoked")}


async def test_sigterm_lets_requests_in_flight_end(tmp_path):
    async with recording() as upstream, session() as client:
        world = World(await PanlessProcess(written(tmp_path, upstream.url)).start(), upstream, client)
        upstream.answer = Answer(delay=1.0)
        going = [asyncio.create_task(world.checkout()) for _ in range(8)]
        await until(lambda: asyncio.sleep(0, len(upstream.received) == 8))
        assert await world.process.stop() == 0
        assert [await each for each in going] == [200] * 8
        assert not alive(world.workers().values())


async def test_without_their_supervisor_workers_end_and_the_port_is_free(tmp_path):
    async with recording() as upstream, session() as client:
        world = World(await PanlessProcess(written(tmp_path, upstream.url)).start(), upstream, client)
        await world.process.kill()
        await until(lambda: asyncio.sleep(0, not alive(world.workers().values())))
        port = int(world.process.urls["inbound"].rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port), reuse_port=False):
            pass


async def test_one_that_starts_again_sealed_waits_and_those_that_are_open_serve(tmp_path):
    async with recording() as upstream, session() as client:
        config = written(tmp_path, upstream.url, head="workers = 2\n" + HEAD)
        shares = await ceremony(config, tmp_path / "shares")
        async with serving(config) as process:
            world = World(process, upstream, client)
            assert {await world.checkout() for _ in range(4)} == {503}
            for share in shares[:3]:
                assert (await unseal(config, share)).code == 0
            before = await world.metrics()
            os.kill(world.workers()[1], signal.SIGKILL)
            await until(lambda: asyncio.sleep(0, bool(world.lines("waits_for_custodians", worker=1))))
            assert {await world.checkout() for _ in range(8)} == {200}
            for share in shares[2:5]:
                assert (await unseal(config, share)).code == 0
            await world.back(before)
            assert {await world.checkout() for _ in range(8)} == {200}


async def test_a_worker_that_dies_again_and_again_is_the_end_of_all(tmp_path):
    process = await PanlessProcess(written(tmp_path, "http://127.0.0.1:1")).start()
    world, killed = World(process, None, None), set()
    while process.process.returncode is None:
        if (pid := world.workers()[2]) not in killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.02)
    assert (len(killed), process.process.returncode) == (5, 1)
    assert "[workers_failed]" in process.log
    assert not alive(world.workers().values())


async def test_an_address_in_use_is_one_error_also_if_it_would_be_shared(tmp_path):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = written(tmp_path, "http://127.0.0.1:1")
        config.write_text(config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}", 1))
        done = await panless("serve", "-c", config)
    assert (done.code, done.out) == (1, "")
    assert re.findall(r"\[(\w+)\]", done.err) == ["address_unavailable"]


async def test_what_keeps_a_worker_from_starting_is_told_once_and_ends_all(tmp_path):
    config = written(tmp_path, "http://127.0.0.1:1", head="")
    (tmp_path / "gateway.key").unlink()
    done = await panless("serve", "-c", config, "--workers", "2")
    assert (done.code, done.out) == (2, "")
    assert re.findall(r"\[(\w+)\]", done.err) == ["config_invalid"]
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


def alive(pids: Sequence[int]) -> list[int]:
    found = []
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            found.append(pid)
    return found
