"""The control socket of a running Panless: custodians give their shares through it, and seal the vault.

Each process has its own, `control-PID.sock` in the data directory, for its own account and root alone. A conversation
is one JSON object in a line and one back. Shares go into the vault, and nowhere else: no log, no answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from vault.errors import PanlessError
from vault.unsealing import Unsealing

LINE_BYTES = 8192
PATIENCE_SECONDS = 10.0
# sun_path holds 104 bytes where it holds least; the socket's own name belongs to them.
_LONGEST_FOLDER_BYTES = 104 - len("/control-1234567890.sock") - 1

log = structlog.get_logger()


class Control:
    """Serves the control socket. `unsealed` is called whenever a KEK was opened."""

    def __init__(self, data_dir: Path, unsealing: Unsealing, unsealed: Callable[[], Awaitable[None]]) -> None:
        self._folder = data_dir
        self._name = f"control-{os.getpid()}.sock"
        self._unsealing = unsealing
        self._unsealed = unsealed
        self._server: asyncio.Server | None = None
        self._alone = asyncio.Lock()

    async def start(self) -> None:
        """Listen; raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / self._name).unlink(missing_ok=True)  # of an earlier process with this pid
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_name(self._folder) as folder:
            before = os.umask(0o177)
            try:
                listening.bind(f"{folder}/{self._name}")
            finally:
                os.umask(before)
        self._server = await asyncio.start_unix_server(self._talk, sock=listening, limit=LINE_BYTES)

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            (self._folder / self._name).unlink(missing_ok=True)
            self._server = None

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            uid = peer_uid(writer.get_extra_info("socket"))
            if uid in (0, os.geteuid()):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    line = await reader.readline()
                writer.write(json.dumps(await self._answer(line, _account(uid))).encode() + b"\n")
                await writer.drain()
            else:
                log.warning("control_refused", uid=uid)
        except (OSError, TimeoutError, ValueError):
            log.warning("control_broken_off")
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, line: bytes, user: str) -> dict[str, Any]:
        try:
            async with self._alone:
                return await self._do(line, user)
        except PanlessError as error:
            return {"code": error.code, "detail": error.detail, "advice": error.advice}

    async def _do(self, line: bytes, user: str) -> dict[str, Any]:
        match json.loads(line):
            case {"do": "give", "share": str(words)}:
                given = await self._unsealing.give(words, user)
                log.info(
                    "share_given", kek=given.kek, custodian=given.custodian, given=given.given, needed=given.needed
                )
                if given.opened and given.fresh:
                    log.info("unsealed", kek=given.kek)
                    await self._unsealed()
                return asdict(given)
            case {"do": "seal"}:
                recorded = await self._unsealing.seal(user)
                log.warning("sealed", recorded=recorded)
                return {"sealed": True, "recorded": recorded}
            case _:
                raise PanlessError


@contextmanager
def short_name(folder: Path) -> Iterator[str]:
    """Yield a name of the folder that fits into a socket's address, valid in this process."""
    if len(os.fsencode(folder)) <= _LONGEST_FOLDER_BYTES:
        yield str(folder)
        return
    if sys.platform != "linux":
        raise OSError("the data directory's path is too long for a socket")
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def peer_uid(connection: socket.socket) -> int:
    """Return who is on the other side, as the kernel says; where it does not, the socket's mode is what counts."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.geteuid()
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
