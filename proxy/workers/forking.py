"""The process that workers are forked from.

It is split off before anything else begins: it has imported everything, and has no event loop, no thread, no socket
and no lock that a worker could inherit. It forks when the supervisor asks it to, says how each worker ended, and ends
with the supervisor.
"""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from proxy.errors import WorkersFailed

_REQUEST = struct.Struct(">I?")
_TOLD = struct.Struct(">?ii")  # whether it ended, its pid, its exit status

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Birth:
    """What a worker is born with."""

    number: int
    restarted: bool
    end: socket.socket


def split() -> Forking | Birth:
    """Return in the supervisor, and in each worker."""
    ours, theirs = socket.socketpair()
    gc.collect()
    gc.freeze()  # collecting would write to pages that workers share
    if (pid := os.fork()) != 0:
        theirs.close()
        gc.unfreeze()
        return Forking(pid, ours)
    ours.close()
    return _Forker(theirs).serve()


class Forking:
    """The supervisor's side."""

    def __init__(self, pid: int, requests: socket.socket) -> None:
        self._pid = pid
        self._requests = requests
        self._born: asyncio.Future[int] | None = None
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._alone = asyncio.Lock()
        self._told: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen to it."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._requests.dup())  # it closes if let go
        self._told = asyncio.create_task(self._listen(reader))

    async def fork(self, number: int, *, restarted: bool, end: socket.socket) -> tuple[int, asyncio.Future[int]]:
        """Return a new worker's pid, and its exit status once it has ended; raises WorkersFailed."""
        async with self._alone:
            self._born = asyncio.get_running_loop().create_future()
            request = _REQUEST.pack(number, restarted)
            try:
                socket.send_fds(self._requests, [request], [end.fileno()])
            except OSError:
                raise WorkersFailed(reason="the process that starts them is gone") from None
            pid = await self._born
            return pid, self._ended[pid]

    def close(self) -> None:
        """Let it end."""
        if self._told is not None:
            self._told.cancel()
            self._told = None
        with suppress(OSError):
            self._requests.shutdown(socket.SHUT_RDWR)
        self._requests.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                ended, pid, status = _TOLD.unpack(await reader.readexactly(_TOLD.size))
                if ended:
                    self._ended.pop(pid).set_result(status)
                elif self._born is not None:
                    self._ended[pid] = asyncio.get_running_loop().create_future()
                    self._born.set_result(pid)
        for waiting in (self._born, *self._ended.values()):
            if waiting is not None and not waiting.done():
                waiting.set_exception(WorkersFailed(reason="the process that starts them is gone"))


class _Forker:
    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._woken, self._waking = os.pipe()
        for end in (self._woken, self._waking):
            os.set_blocking(end, False)
        for number in ENDING:  # of a terminal or a service manager: it ends with the supervisor
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._children: set[int] = set()

    def serve(self) -> Birth:
        """Return in each worker; here it never does."""
        sources: list[Any] = [self._requests, self._woken]
        while True:
            ready, _, _ = select.select(sources, [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._requests not in ready:
                continue
            try:
                request, ends, _, _ = socket.recv_fds(self._requests, _REQUEST.size, 1)
            except ConnectionError:
                request, ends = b"", []
            if not request:
                os._exit(0)
            number, restarted = _REQUEST.unpack(request)
            if (pid := os.fork()) == 0:
                return self._become(Birth(number, restarted, socket.socket(fileno=ends[0])))
            os.close(ends[0])
            self._children.add(pid)
            self._tell(False, pid, 0)

    def _reap(self) -> None:
        for pid in list(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._children.discard(pid)
                self._tell(True, pid, os.waitstatus_to_exitcode(status))

    def _tell(self, ended: bool, pid: int, status: int) -> None:
        with suppress(BrokenPipeError):  # the supervisor is gone, which is seen in a moment
            self._requests.sendall(_TOLD.pack(ended, pid, status))

    def _become(self, birth: Birth) -> Birth:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        self._requests.close()
        for end in (self._woken, self._waking):
            os.close(end)
        return birth
