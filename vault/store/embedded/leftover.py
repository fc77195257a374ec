"""What an earlier Panless that was killed may have left: a server that still runs, and files that say so."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from vault.store.embedded.datadir import DataDirectory, failing, refused
from vault.store.embedded.postgres_program import PORT

# A server whose Panless died is on its way out already; SIGINT again does no harm.
STEPS = ((signal.SIGINT, 5.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
POLL_S = 0.02


async def end_leftover_server(directory: DataDirectory) -> None:
    """End the server that runs on this PGDATA, if any, and remove stale files. The caller holds the lock.

    Raises EmbeddedDatabaseFailed when it does not end, or belongs to somebody else.
    """
    with failing("end an earlier server", directory.log):
        for step, patience in STEPS:
            pid = running_server(directory)
            if pid is None:
                break
            with suppress(ProcessLookupError):
                os.kill(pid, step)
            await _wait_for_end(directory, pid, patience)
        if running_server(directory) is not None:
            raise refused("start", "an earlier server on its data does not end", directory.log)
        _remove_stale_files(directory)


def running_server(directory: DataDirectory) -> int | None:
    """The pid of the server that runs on this PGDATA; None when its file is stale, whoever has the pid."""
    pid = _written_pid(directory)
    return pid if pid is not None and _is_server_of(pid, directory) else None


async def _wait_for_end(directory: DataDirectory, pid: int, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and _is_server_of(pid, directory):  # noqa: ASYNC110  # not our child
        await asyncio.sleep(POLL_S)


def _written_pid(directory: DataDirectory) -> int | None:
    try:
        first_line = (directory.cluster / "postmaster.pid").read_bytes().split(b"\n", 1)[0]
        pid = int(first_line)
    except (FileNotFoundError, ValueError):
        return None
    return pid if pid > 1 else None


def _is_server_of(pid: int, directory: DataDirectory) -> bool:
    arguments = _command_line(pid)
    if not arguments or os.path.basename(arguments[0]) != b"postgres":
        return False
    try:
        # The server works in PGDATA, which is the surest sign, where the kernel lets us look.
        return Path(f"/proc/{pid}/cwd").samefile(directory.cluster)
    except OSError:
        return os.fsencode(directory.cluster) in arguments


def _command_line(pid: int) -> list[bytes]:
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return []
    listing = ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)]
    listed = subprocess.run(listing, capture_output=True, check=False)  # noqa: S603  # our own words and a number
    return listed.stdout.strip().split(b" -c ", 1)[0].split(b" -D ", 1)


def _remove_stale_files(directory: DataDirectory) -> None:
    """Remove what would make PostgreSQL take a stranger, who was given an old pid, for a server."""
    socket = directory.run / f".s.PGSQL.{PORT}"
    for stale in (socket, socket.with_name(socket.name + ".lock")):
        stale.unlink(missing_ok=True)
    pid = _written_pid(directory)
    if pid is not None and _command_line(pid):
        (directory.cluster / "postmaster.pid").unlink(missing_ok=True)
