"""The roles and the database that migrations start from."""

from __future__ import annotations

import asyncpg

from vault.store.embedded.cluster import OWNER, ROLES, SUPERUSER
from vault.store.embedded.datadir import DataDirectory, failing
from vault.store.embedded.postmaster import connect, sql_refused

DATABASE = "panless"
STEP = "prepare its roles"

RIGHTS_OF_NONE = "NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"


async def bootstrap(host: str, directory: DataDirectory) -> None:
    """Create what is missing. May be interrupted and run again; raises EmbeddedDatabaseFailed.

    The roles may log in only when all else is done, so that one who can log in finds everything in its place.
    """
    with failing(STEP, directory.log):
        try:
            connection = await connect(host, SUPERUSER, "postgres")
            try:
                if not await _is_complete(connection):
                    await _create(connection, host)
            finally:
                await connection.close(timeout=5)
        except asyncpg.PostgresError as error:
            raise sql_refused(STEP, error, directory) from None


async def _is_complete(connection: asyncpg.Connection) -> bool:
    able = await connection.fetchval(
        "SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = ANY($1) AND rolcanlogin", list(ROLES)
    )
    return bool(able == len(ROLES))


async def _create(connection: asyncpg.Connection, host: str) -> None:
    present = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_catalog.pg_roles")}
    for role in ROLES:
        await connection.execute(f"{'ALTER' if role in present else 'CREATE'} ROLE {role} {RIGHTS_OF_NONE}")
    if not await connection.fetchval("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", DATABASE):
        await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
    await connection.execute(
        f"REVOKE ALL ON DATABASE {DATABASE}, postgres, template1 FROM PUBLIC;"
        f"GRANT CONNECT ON DATABASE {DATABASE} TO {', '.join(ROLES)}"
    )
    await _settle_schema(host)
    await connection.execute(";".join(f"ALTER ROLE {role} LOGIN" for role in ROLES))  # one transaction


async def _settle_schema(host: str) -> None:
    connection = await connect(host, SUPERUSER, DATABASE)
    try:
        await connection.execute(f"REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT ALL ON SCHEMA public TO {OWNER}")
    finally:
        await connection.close(timeout=5)
