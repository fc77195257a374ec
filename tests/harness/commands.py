"""Commands as processes of their own: forked by a nursery, or started as a shell starts them."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import socket
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import IO

COMMAND = (sys.executable, "-m", "proxy.cli")
ROOT = Path(__file__).parents[2]
STDIN_BYTES = 4096  # a pipe takes them at once

_alone = sys.platform != "linux"


@contextmanager
def alone() -> Iterator[None]:
    """For tests of what a process is: commands are started with `COMMAND`, and nothing is imported before."""
    global _alone  # noqa: PLW0603  # one for all tests of this process, as its nursery is
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


async def start(
    *words: str, env: Mapping[str, str], stdin: bytes = b"", stdout: IO | int = PIPE, stderr: IO | int = PIPE
) -> Process | Forked:
    """Start `panless WORDS`. `env` is all of its environment; `stdout` and `stderr` are PIPE, DEVNULL or a file."""
    assert len(stdin) <= STDIN_BYTES
    given, ours = os.pipe()
    os.write(ours, stdin)
    os.close(ours)
    try:
        if _alone:
            return await asyncio.create_subprocess_exec(
                *COMMAND, *words, stdin=given, stdout=stdout, stderr=stderr, env=env
            )
        return await Forked.start(words, env, given, stdout, stderr)
    finally:
        os.close(given)


class Forked:
    """A command that the nursery forked: what tests use of `asyncio.subprocess.Process`."""

    def __init__(self) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None

    @classmethod
    async def start(cls, words: tuple[str, ...], env: Mapping[str, str], stdin: int, stdout, stderr) -> Forked:
        forked = cls()
        with ExitStack() as given:
            forked.stdout, out = await _end(stdout, given)
            forked.stderr, err = await _end(stderr, given)
            ours, theirs = socket.socketpair()
            given.enter_context(theirs)
            request = json.dumps({"argv": words, "env": dict(env), "cwd": str(Path.cwd())}).encode()
            socket.send_fds(_nursery(), [request], [stdin, out, err, theirs.fileno()])
        told, writer = await asyncio.open_connection(sock=ours)
        forked.pid = int(await told.readline())
        forked._ended = asyncio.create_task(forked._watch(told, writer))
        return forked

    async def _watch(self, told: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        self.returncode = int(await told.readline())
        writer.close()
        return self.returncode

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def communicate(self) -> tuple[bytes, bytes]:
        out, err = await asyncio.gather(*(each.read() for each in (self.stdout, self.stderr)))
        await self.wait()
        return out, err

    def send_signal(self, number: int) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)


async def _end(kind: IO | int, given: ExitStack) -> tuple[asyncio.StreamReader | None, int]:
    """Our end, where there is one, and the descriptor that the command gets, closed with `given`."""
    if kind == DEVNULL:
        return None, given.enter_context(open(os.devnull, "wb")).fileno()  # noqa: ASYNC230
    if kind != PIPE:
        return None, kind.fileno()
    ours, theirs = os.pipe()
    given.callback(os.close, theirs)
    reader = asyncio.StreamReader()
    loop, protocol = asyncio.get_running_loop(), asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, os.fdopen(ours, "rb", buffering=0))
    return reader, theirs


@cache
def _nursery() -> socket.socket:
    """The socket of this process's nursery, which ends when this process does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        words = [sys.executable, "-m", "tests.harness.nursery", str(theirs.fileno())]
        nursery = subprocess.Popen(words, stdin=DEVNULL, stdout=DEVNULL, pass_fds=[theirs.fileno()], cwd=ROOT)

    def end() -> None:
        ours.close()
        nursery.wait()

    atexit.register(end)
    return ours
