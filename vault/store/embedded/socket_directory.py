"""A name for the socket's directory that fits into a socket's address, however long its path is."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# sun_path holds 108 bytes on Linux, 104 elsewhere; "/.s.PGSQL.5432" and the closing zero belong to them.
LONGEST_NAME_BYTES = 88
# Where asyncpg finds this in a host, it takes the host for the socket itself.
TAKEN_FOR_A_SOCKET = ".s.PGSQL."


class SocketDirectory:
    """`name` is the directory itself or a short alias of it, valid in this process until `close`."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the directory is not there."""
        self._descriptor: int | None = None
        self._alias: Path | None = None
        path.stat()
        if len(os.fsencode(path)) <= LONGEST_NAME_BYTES and TAKEN_FOR_A_SOCKET not in str(path):
            self.name = str(path)
        elif sys.platform == "linux":
            self._descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)
            self.name = f"/proc/self/fd/{self._descriptor}"
        else:
            self._alias = Path(tempfile.mkdtemp(prefix="panless-", dir="/tmp")) / "run"  # short, and 0700
            self._alias.symlink_to(path)
            self.name = str(self._alias)

    def close(self) -> None:
        """Give the alias up. May be called again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._alias is not None:
            self._alias.unlink()
            self._alias.parent.rmdir()
            self._alias = None
