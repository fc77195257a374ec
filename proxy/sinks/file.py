"""A file that lines, or signed notes, are appended to. What is in it is on the disk before the log moves on."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from proxy.config.audit import FileSink
from proxy.sinks.payload import Payload, failed


class Files:
    """Appends to one file, readable by its owner alone."""

    def __init__(self, config: FileSink, path: Path) -> None:
        self._config = config
        self._path = path

    async def send(self, payload: Payload) -> None:
        # An empty line stands between notes.
        text = "".join([f"{line}\n" for line in payload.lines] + [f"{each.note}\n" for each in payload.notes])
        try:
            await asyncio.to_thread(_append, self._path, text.encode())
        except OSError:
            raise failed(self._config, "the file cannot be written") from None

    async def close(self) -> None:
        """Nothing is held."""


def _append(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        except OSError:
            # Half a note would make what comes after it unreadable. A file may be one that can only grow.
            with suppress(OSError):
                os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
