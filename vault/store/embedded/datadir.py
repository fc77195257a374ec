"""The data directory of the embedded PostgreSQL: its layout and its owners.

data_dir/             0700; 0711 when Panless is root, for then PostgreSQL runs as `nobody` and passes through
data_dir/lock         flock of the Panless that runs the server; JSON with its pid and what it is
data_dir/postgres/    PGDATA, complete or not there
data_dir/run/         the socket
data_dir/pg_hba.conf, data_dir/pg_ident.conf    written at each start
data_dir/postgres.log
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vault.errors import EmbeddedDatabaseFailed

SERVER_USER_OF_ROOT = "nobody"
LOG_KEPT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class OsUser:
    """An account of the operating system."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class DataDirectory:
    """The paths, absolute and without symbolic links; the accounts that Panless and PostgreSQL run under."""

    path: Path
    panless_user: OsUser
    server_user: OsUser

    @property
    def cluster(self) -> Path:
        return self.path / "postgres"

    @property
    def unfinished_cluster(self) -> Path:
        return self.path / "postgres.new"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def log(self) -> Path:
        return self.path / "postgres.log"

    @property
    def hba(self) -> Path:
        return self.path / "pg_hba.conf"

    @property
    def ident(self) -> Path:
        return self.path / "pg_ident.conf"

    @property
    def changes_user(self) -> bool:
        return self.server_user != self.panless_user

    @classmethod
    def prepare(cls, path: Path) -> DataDirectory:
        """Create the directory, or check the one that is there. Raises EmbeddedDatabaseFailed."""
        log = path / "postgres.log"
        with failing("prepare its data directory", log):
            panless = _account(os.geteuid(), log)
            server = panless if panless.uid else _account(SERVER_USER_OF_ROOT, log)
            if not path.exists():
                path.mkdir(mode=0o700, parents=True)
                path.chmod(0o711 if server.uid != panless.uid else 0o700)
            found = path.stat()
            if panless.uid != found.st_uid:
                raise refused("prepare its data directory", "it belongs to another user", log)
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise refused("prepare its data directory", "other users may write to it (chmod go-w)", log)
            return cls(path.resolve(strict=True), panless, server)

    def give(self, path: Path) -> None:
        """Make `path` a directory that only PostgreSQL's account may enter."""
        path.mkdir(mode=0o700, exist_ok=True)
        if self.changes_user:
            os.chown(path, self.server_user.uid, self.server_user.gid, follow_symlinks=False)

    def write(self, path: Path, text: str) -> None:
        """Put a configuration file in place, whole, which PostgreSQL's account may read and not write."""
        unfinished = path.with_name(path.name + ".new")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644 if self.changes_user else 0o600)
        unfinished.rename(path)

    def open_log(self) -> int:
        """Open the log of PostgreSQL to append to; returns the descriptor, which the caller closes."""
        if self.log.exists() and self.log.stat().st_size > LOG_KEPT_BYTES:
            self.log.rename(self.log.with_name("postgres.log.1"))
        return os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)


def refused(step: str, reason: str, log: Path) -> EmbeddedDatabaseFailed:
    """The error, with a reason that is never a text of PostgreSQL."""
    return EmbeddedDatabaseFailed(step=step, reason=reason, log=str(log))


@contextmanager
def failing(step: str, log: Path) -> Iterator[None]:
    """Turn what the operating system refuses into EmbeddedDatabaseFailed."""
    try:
        yield
    except OSError as error:
        raise refused(step, (error.strerror or "the operating system refused").lower(), log) from None


def _account(wanted: int | str, log: Path) -> OsUser:
    try:
        entry = pwd.getpwnam(wanted) if isinstance(wanted, str) else pwd.getpwuid(wanted)
    except KeyError:
        # PostgreSQL looks its own user up, and its peer.
        raise refused("start", f"the system's list of users has no entry for {wanted}", log) from None
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
