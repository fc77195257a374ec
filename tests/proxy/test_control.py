"""The control socket: for the account that runs Panless and for root, and for nobody else on either side."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from proxy.cli.controlling import ask_all
from proxy.control import Control, short_name
from proxy.errors import ControlUnanswered, ControlUntrusted, NotRunning
from vault.errors import ShareRejected
from vault.unsealing import GivenShare

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as another user")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux (SO_PEERCRED)")
SHARE = {"do": "give", "share": "words"}


class Custodians:
    """In the place of the vault: it takes two shares, whatever they are, and refuses a wrong one."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []
        self.sealed = 0

    async def give(self, words: str, user: str) -> GivenShare:
        if words == "wrong":
            raise ShareRejected(reason="it is wrong")
        self.taken.append((words, user))
        opened = len(self.taken) >= 2
        return GivenShare(kek="k", custodian="anna", given=len(self.taken), needed=2, opened=opened, fresh=True)

    async def seal(self, user: str) -> bool:
        self.sealed += bool(user)
        return True


@pytest.fixture
def custodians() -> Custodians:
    return Custodians()


@pytest.fixture
def unsealed() -> list[int]:
    return []


@pytest.fixture
async def control(tmp_path, custodians, unsealed):
    async def note() -> None:
        unsealed.append(len(custodians.taken))

    running = Control(tmp_path / "data", custodians, note)
    await running.start()
    yield running
    await running.stop()


def socket_of(control: Control) -> Path:
    return control._folder / control._name


async def test_a_share_goes_in_and_how_many_there_are_comes_out(control, custodians, unsealed):
    (answer,) = await ask_all(control._folder, SHARE)
    assert answer.pid == os.getpid()
    assert (answer.document["given"], answer.document["needed"], answer.refused) == (1, 2, False)
    assert unsealed == []
    assert (await ask_all(control._folder, SHARE))[0].document["opened"]
    assert unsealed == [2]
    assert len(custodians.taken) == 2 and custodians.taken[0][0] == "words"
    assert "words" not in json.dumps(answer.document)


async def test_refusals_come_back_as_they_are(control):
    (answer,) = await ask_all(control._folder, SHARE | {"share": "wrong"})
    assert answer.refused
    assert answer.document["code"] == "share_rejected"


async def test_sealing(control, custodians):
    (answer,) = await ask_all(control._folder, {"do": "seal"})
    assert answer.document == {"sealed": True, "recorded": True}
    assert custodians.sealed == 1


@pytest.mark.parametrize("umask", [0o000, 0o077])
async def test_the_socket_is_for_its_owner_alone(tmp_path, custodians, umask):
    before = os.umask(umask)
    try:
        running = Control(tmp_path / "data", custodians, None)
        await running.start()
    finally:
        assert os.umask(before) == umask
    assert stat.S_IMODE(socket_of(running).stat().st_mode) == 0o600
    assert stat.S_IMODE(running._folder.stat().st_mode) == 0o700
    await running.stop()
    assert not socket_of(running).exists()


async def test_a_long_path_and_a_stale_socket_of_the_same_pid_are_no_hindrance(tmp_path, custodians):
    folder = tmp_path / ("d" * 120) / "data"
    folder.mkdir(parents=True)
    for _ in range(2):
        running = Control(folder, custodians, None)
        await running.start()
        assert not (await ask_all(folder, {"do": "seal"}))[0].refused
    await running.stop()


async def test_sockets_that_processes_left_behind_are_removed(control):
    stale = control._folder / "control-1.sock"
    with socket.socket(socket.AF_UNIX) as listening, short_name(control._folder) as name:
        listening.bind(f"{name}/{stale.name}")
    assert len(await ask_all(control._folder, {"do": "seal"})) == 1
    assert not stale.exists()
    await control.stop()
    with pytest.raises(NotRunning):
        await ask_all(control._folder, {"do": "seal"})


@pytest.mark.parametrize(
    "line",
    [b"\n", b"[]\n", b"{}\n", b"nonsense\n", b'{"do": "give"}\n', b'{"do": "give", "share": 1}\n', b"a" * 9000 + b"\n"],
    ids=lambda line: line[:20].decode(),
)
async def test_nonsense_is_refused_and_the_next_one_is_heard(control, custodians, line):
    with short_name(control._folder) as name:
        reader, writer = await asyncio.open_unix_connection(f"{name}/{control._name}")
    writer.write(line)
    answer = await reader.read()
    assert answer == b"" or json.loads(answer)["code"] == "internal_error"
    writer.close()
    assert custodians.taken == []
    assert not (await ask_all(control._folder, SHARE))[0].refused


CONNECT = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with socket.socket(socket.AF_UNIX) as connection:
    try:
        connection.connect(sys.argv[1])
        connection.sendall(b'{"do": "seal"}\\n')
        print("answer", connection.makefile().read())
    except PermissionError:
        print("no permission")
    except ConnectionError:
        print("answer")
"""


@as_root
@on_linux
async def test_another_account_is_refused_even_when_the_socket_lets_it_in(custodians):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # where others can pass
        Path(folder).chmod(0o711)
        control = Control(Path(folder), custodians, None)
        await control.start()

        async def try_it() -> str:
            command = [sys.executable, "-c", CONNECT, str(socket_of(control))]
            return (await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)).stdout.strip()

        assert await try_it() == "no permission"
        socket_of(control).chmod(0o777)
        assert await try_it() == "answer"
        assert custodians.sealed == 0
        assert not (await ask_all(control._folder, {"do": "seal"}))[0].refused
        await control.stop()


@as_root
@on_linux
async def test_a_share_is_not_given_to_somebody_elses_socket(tmp_path):
    """Whoever may write to the data directory could put one there."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o777)
    heard = await _listen(folder / "control-7.sock")
    with pytest.raises(ControlUntrusted):
        await ask_all(folder, SHARE)
    folder.chmod(0o700)
    os.chown(folder, NOBODY, NOBODY)
    assert (await ask_all(folder, {"do": "seal"}))[0].document == {}  # root's process is trusted
    os.chown(folder, 0, 0)
    assert len(heard) == 1


@as_root
@on_linux
async def test_a_share_is_not_given_to_a_process_of_another_account(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    listening = socket.socket(socket.AF_UNIX)
    with short_name(folder) as name:
        os.seteuid(0)
        listening.bind(f"{name}/control-7.sock")
    os.seteuid(NOBODY)  # what the kernel tells of a listening process is from when it began to listen
    listening.listen()
    os.seteuid(0)
    with pytest.raises(ControlUntrusted):
        await ask_all(folder, SHARE)
    listening.setblocking(False)
    connection, _ = await asyncio.get_running_loop().sock_accept(listening)
    assert await asyncio.get_running_loop().sock_recv(connection, 100) == b""
    connection.close()
    listening.close()


async def _listen(path: Path) -> list[bytes]:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line:
            heard.append(line)
            writer.write(b"{}\n")
        writer.close()

    await asyncio.start_unix_server(answer, path)
    return heard


async def test_a_process_that_does_not_answer(tmp_path):
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    async with await asyncio.start_unix_server(hang_up, folder / "control-7.sock"):
        with pytest.raises(ControlUnanswered):
            await ask_all(folder, SHARE)
