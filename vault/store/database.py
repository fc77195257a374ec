"""Connections to PostgreSQL in one of three roles, and its errors translated.

asyncpg's errors carry rows and arguments in DETAIL lines and messages; nothing of them leaves this package.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import asyncpg

from vault.errors import DatabaseFailed, DatabaseFull, DatabaseUnavailable, RoleNotGranted, SchemaMissing
from vault.store.embedded import EmbeddedDatabase

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 10.0
# SQLSTATE classes: 08 connection, 57P operator intervention, 53 resources (53100 disk full), 25006 read-only.
_UNAVAILABLE = ("08", "57P", "53300", "25006", "55P03", "40001", "58")
_FULL = ("53100", "53200")


class Role(StrEnum):
    """Who a connection is. The names are those of the database roles."""

    OWNER = "panless_owner"
    PROXY = "panless_proxy"
    AUDITOR = "panless_auditor"


@contextmanager
def translated() -> Iterator[None]:
    """Turn what asyncpg raises into StoreErrors that carry no values."""
    try:
        yield
    except asyncpg.PostgresError as error:
        sqlstate = error.sqlstate or "?????"
        # It stays behind as the context of what is raised, so nothing may be left in it.
        error.args = ("",)
        vars(error).clear()
        raise _translate(sqlstate) from None
    # InternalClientError: what asyncpg says when a connection breaks between two of its messages.
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError, asyncio.IncompleteReadError):
        raise DatabaseUnavailable from None


def _translate(sqlstate: str) -> DatabaseUnavailable | DatabaseFull | DatabaseFailed:
    if sqlstate.startswith(_FULL):
        return DatabaseFull()
    if sqlstate.startswith(_UNAVAILABLE):
        return DatabaseUnavailable()
    return DatabaseFailed(sqlstate=sqlstate)


@dataclass(frozen=True, slots=True)
class Database:
    """Where PostgreSQL is. `urls` has a URL per role for an external one; `embedded` is the one that we run."""

    urls: dict[Role, str] = field(default_factory=dict, repr=False)
    embedded: EmbeddedDatabase | None = None
    statement_cache: bool = True

    def _arguments(self, role: Role) -> dict[str, Any]:
        common: dict[str, Any] = {"timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS}
        if not self.statement_cache:
            common["statement_cache_size"] = 0
        if self.embedded is not None:
            # All of it is said, so that nothing of it is taken from PG* variables of the environment.
            return common | {
                "host": self.embedded.host,
                "port": self.embedded.port,
                "database": self.embedded.database,
                "user": role.value,
                "ssl": False,
                "target_session_attrs": "any",
            }
        return common | {"dsn": self.urls.get(role) or self.urls[Role.PROXY]}

    async def connect(self, role: Role) -> Connection:
        """Open one connection; raises StoreError."""
        with translated():
            connection: Connection = await asyncpg.connect(**self._arguments(role))
            await _become(connection, role)
            return connection

    async def pool(self, role: Role, *, size: int) -> Pool:
        """Open a pool; raises StoreError."""
        with translated():
            return await asyncpg.create_pool(
                min_size=1,
                max_size=size,
                init=lambda connection: _become(connection, role),
                reset=_keep,
                **self._arguments(role),
            )

    async def close(self) -> None:
        """Stop the embedded server, if it is ours."""
        if self.embedded is not None:
            await self.embedded.stop()


async def _become(connection: Any, role: Role) -> None:
    # The owner of an external database is whoever the URL names.
    if role is not Role.OWNER and await connection.fetchval("SELECT current_user") != role.value:
        try:
            await connection.execute(f"SET ROLE {role.value}")
        except asyncpg.InvalidParameterValueError:
            raise SchemaMissing from None  # the role is made by the first migration
        except asyncpg.InsufficientPrivilegeError:
            raise RoleNotGranted(role=role.value) from None


async def _keep(_connection: object) -> None:
    """Between uses nothing is reset: these connections hold no session state, and RESET ALL is a round trip."""
