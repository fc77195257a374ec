"""PGDATA: made whole or not at all, and who may log in to it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time

from vault.store.embedded.child import Child
from vault.store.embedded.datadir import DataDirectory, failing, refused
from vault.store.embedded.postgres_program import PostgresProgram

SUPERUSER = "postgres"
OWNER = "panless_owner"
ROLES = (OWNER, "panless_proxy", "panless_auditor")

STEP = "create its data directory"
REMOVE_PATIENCE_S = 5.0


async def make_cluster(directory: DataDirectory, program: PostgresProgram) -> None:
    """Run initdb unless that was done. Durable when it returns; raises EmbeddedDatabaseFailed.

    initdb works in a sibling that gets its name when it is complete: whatever interrupts it is harmless.
    """
    with failing(STEP, directory.log):
        if (directory.cluster / "PG_VERSION").exists():
            if directory.cluster.stat().st_uid != directory.server_user.uid:
                raise refused(STEP, f"it does not belong to user {directory.server_user.name}", directory.log)
            return
        await _remove_unfinished(directory)
        directory.give(directory.unfinished_cluster)
        await _run_initdb(directory, program)
        directory.unfinished_cluster.rename(directory.cluster)
        _sync_entries(directory)


def write_access_rules(directory: DataDirectory) -> None:
    """Only Panless's own account may log in, as any of the roles, and the kernel vouches for it."""
    peer = directory.panless_user.name
    with failing("write its access rules", directory.log):
        directory.give(directory.run)
        directory.write(directory.hba, "local all all peer map=panless\n")
        directory.write(directory.ident, "".join(f'panless "{peer}" {role}\n' for role in (SUPERUSER, *ROLES)))


async def _run_initdb(directory: DataDirectory, program: PostgresProgram) -> None:
    arguments = [
        "-D",
        str(directory.unfinished_cluster),
        "-U",
        SUPERUSER,
        "--auth-local=peer",
        "--auth-host=reject",
    ]
    arguments += ["--data-checksums", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    # SIGKILL as its death signal: what it leaves is removed at the next start anyway.
    initdb = Child(program.command("initdb", arguments, directory, signal.SIGKILL), directory)
    try:
        status = await initdb.wait()
    except BaseException:
        await asyncio.shield(initdb.end())
        raise
    if status != 0:
        reason = initdb.reason(status)
        await _remove_unfinished(directory)
        raise refused(STEP, reason, directory.log)


async def _remove_unfinished(directory: DataDirectory) -> None:
    deadline = time.monotonic() + REMOVE_PATIENCE_S
    while directory.unfinished_cluster.exists():
        try:
            shutil.rmtree(directory.unfinished_cluster)
        except OSError:
            # The last process of a killed initdb may still be writing.
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


def _sync_entries(directory: DataDirectory) -> None:
    descriptor = os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
