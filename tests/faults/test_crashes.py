"""Start, stop, crash, start again: what was acknowledged is there, nothing runs on unnoticed (promise 11)."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import aiohttp
import pytest

from tests.harness import configuration
from tests.harness.cards import cards
from tests.harness.process import PanlessProcess, panless, serving
from tests.harness.upstream import Answer, recording


@pytest.fixture
async def parts(tmp_path):
    async with recording() as app, recording() as gateway:
        yield configuration.write(tmp_path, app.url, gateway.url), app, gateway


def _postmaster(config: Path) -> int:
    return int((config.parent / "data" / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


async def _gone(pid: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while _alive(pid):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)
    return True


def _kill_panless(running: PanlessProcess, _postmaster: int) -> None:
    os.kill(running.pid, signal.SIGKILL)


def _kill_both(running: PanlessProcess, postmaster: int) -> None:
    os.kill(postmaster, signal.SIGKILL)
    os.kill(running.pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [_kill_panless, _kill_both], ids=["panless", "both"])
async def test_kill_9_under_load_loses_nothing_that_was_acknowledged(parts, kill):
    config, app, gateway = parts
    running = await PanlessProcess(config).start()
    postmaster = _postmaster(config)
    key = await running.add_app("shop")
    acknowledged = {}

    async def post(number):
        try:
            async with aiohttp.ClientSession() as client:
                body = {"card": {"number": number}}
                async with client.post(f"{running.urls['inbound']}/checkout", json=body) as answer:
                    if answer.status == 200:
                        acknowledged[number] = (await answer.json())["token"]
        except aiohttp.ClientError:
            pass  # this one was not acknowledged

    app.answer = lambda received: Answer(body=b'{"token": "%s"}' % received.json()["card"]["number"].encode())
    load = [asyncio.create_task(post(number)) for number in cards()]
    while len(acknowledged) < 5:
        await asyncio.sleep(0.001)
    kill(running, postmaster)
    await asyncio.gather(*load)
    await running.stop(signal.SIGKILL)
    assert await _gone(postmaster), "PostgreSQL runs on without its Panless"
    async with serving(config) as again, aiohttp.ClientSession() as client:
        for number, token in acknowledged.items():
            async with client.post(
                f"{again.urls['outbound']}/gateway/x", json={"card": {"number": token}}, headers={"Panless-Key": key}
            ) as answer:
                assert answer.status == 200
            assert gateway.last.json()["card"]["number"] == number
        assert (await panless("audit", "verify", "-c", config)).code == 0


async def test_kill_9_of_postgres_is_survived(parts):
    config, app, gateway = parts
    async with serving(config) as running, aiohttp.ClientSession() as client:
        key = await running.add_app("shop")
        async with client.post(
            f"{running.urls['inbound']}/checkout", json={"card": {"number": "4242424242424242"}}
        ) as answer:
            assert answer.status == 200
        os.kill(_postmaster(config), signal.SIGKILL)
        statuses = set()
        for _ in range(200):
            async with client.post(
                f"{running.urls['outbound']}/gateway/x", json=app.last.json(), headers={"Panless-Key": key}
            ) as answer:
                statuses.add(answer.status)
                if answer.status == 200:
                    break
            await asyncio.sleep(0.05)
        assert 200 in statuses
        assert statuses <= {200, 503}
        assert gateway.last.json()["card"]["number"] == "4242424242424242"
        assert "embedded_postgres_restarted" in running.log


async def test_second_panless_on_the_same_data_directory_is_told_so(parts):
    config, _app, _gateway = parts
    async with serving(config) as running:
        second = await panless("serve", "-c", config)
        assert second.code == 1
        assert f"process {running.pid}" in second.err
        assert "data_dir" in second.err
        async with aiohttp.ClientSession() as client, client.get(f"{running.urls['admin']}/readyz") as answer:
            assert answer.status == 200


async def test_stop_lets_requests_in_flight_end_and_refuses_new_ones(parts):
    config, app, _gateway = parts
    app.answer = Answer(delay=1.5)
    running = await PanlessProcess(config).start()
    postmaster = _postmaster(config)
    async with aiohttp.ClientSession() as client:
        body = {"card": {"number": "4242424242424242"}}
        slow = asyncio.create_task(client.post(f"{running.urls['inbound']}/checkout", json=body))
        while not app.received:
            await asyncio.sleep(0.01)
        os.kill(running.pid, signal.SIGTERM)
        await asyncio.sleep(0.3)
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.post(f"{running.urls['inbound']}/checkout", json=body)
        async with await slow as answer:
            assert answer.status == 200
    assert await running.stop() == 0
    assert await _gone(postmaster, 1)


@pytest.mark.usefixtures("own_interpreter")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stop_while_starting_leaves_nothing_behind(parts, number):
    config, _app, _gateway = parts
    for delay in (0.3, 0.5, 0.7, 0.9):
        running = PanlessProcess(config)
        starting = asyncio.create_task(running.start())
        await asyncio.sleep(delay)
        if running.process is not None and running.process.returncode is None:
            running.process.send_signal(number)
        await asyncio.gather(starting, return_exceptions=True)
        await running.stop(number)
    async with serving(config):
        pass


async def test_clients_that_go_away_do_not_cancel_the_audit_write(parts):
    config, app, _gateway = parts
    async with serving(config) as running:
        host, port = running.urls["inbound"].removeprefix("http://").split(":")
        for number in cards()[:20]:
            body = b'{"card": {"number": "%s"}}' % number.encode()
            _reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            await writer.drain()
            writer.transport.abort()
        await asyncio.sleep(0.5)
        events = await running.events("--action", "tokenize")
        recorded = {event["tokens"][0] for event in events}
        assert {received.json()["card"]["number"] for received in app.received} <= recorded
        assert (await panless("audit", "verify", "-c", config)).code == 0
