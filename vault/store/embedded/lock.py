"""The lock on a data directory: one Panless at a time runs its server."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from typing import Literal

from vault.store.embedded.datadir import DataDirectory

Holder = Literal["serve", "command", "worker"]


@dataclass(frozen=True)
class LockHolder:
    """Who wrote itself into the lock file. `pid` 0: nobody, yet."""

    pid: int
    holder: str


class DataDirectoryLock:
    """At most one Panless runs the server of a data directory. The kernel frees the lock of a dead one."""

    def __init__(self, directory: DataDirectory) -> None:
        self._path = directory.lock
        self._descriptor: int | None = None

    def try_acquire(self, holder: Holder) -> bool:
        """Take the lock, or return False at once. Raises OSError when the file cannot be made."""
        # Python opens with close-on-exec, so PostgreSQL does not hold on to the lock.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps({"pid": os.getpid(), "holder": holder}).encode())
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def holder(self) -> LockHolder:
        """Who holds the lock, as far as the file tells. What a dead process left there tells nothing."""
        try:
            written = json.loads(self._path.read_bytes())
            found = LockHolder(int(written["pid"]), str(written["holder"]))
            os.kill(found.pid, 0)
        except PermissionError:
            return found  # alive, of another user
        except (OSError, ValueError, KeyError, TypeError):
            return LockHolder(0, "")
        return found

    def release(self) -> None:
        """Free the lock. Harmless when it is not held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
