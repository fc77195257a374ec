"""Talking to all running Panless processes of a data directory."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.control import LINE_BYTES, peer_uid, short_name
from proxy.errors import ControlUnanswered, ControlUntrusted, NotRunning

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one process answered: `code`, `detail` and `advice` of an error, or what was done."""

    pid: int
    document: dict[str, Any]

    @property
    def refused(self) -> bool:
        return "code" in self.document


async def ask_all(data_dir: Path, request: dict[str, str]) -> list[Answer]:
    """Ask every process; raises NotRunning if there is none, ControlUntrusted if one may be somebody else's."""
    answers = []
    for path in sorted(data_dir.glob("control-*.sock")):  # noqa: ASYNC240  # a command that does nothing else
        connection = _connect(path)
        if connection is not None:
            document = await _converse(connection, request, path)
            answers.append(Answer(int(path.stem.removeprefix("control-")), document))
    if not answers:
        raise NotRunning(path=str(data_dir))
    return answers


def _connect(path: Path) -> socket.socket | None:
    """Connect to the process of the data directory's owner; None if it is gone: then its socket is removed."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        folder = path.parent.stat()
        with short_name(path.parent) as name:
            connection.connect(f"{name}/{path.name}")
        trusted = not folder.st_mode & 0o022 and peer_uid(connection) in (0, folder.st_uid)
    except (ConnectionRefusedError, FileNotFoundError):
        connection.close()
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return None
    except OSError:
        trusted = False
    if not trusted:
        connection.close()
        raise ControlUntrusted(path=str(path))
    return connection


async def _converse(connection: socket.socket, request: dict[str, str], path: Path) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LINE_BYTES)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            document = json.loads(await reader.readline())
    except (OSError, TimeoutError, ValueError):
        raise ControlUnanswered(path=str(path)) from None
    finally:
        writer.close()
    return dict(document)
