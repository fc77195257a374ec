"""A PostgreSQL that is not Panless's own: a real server that a test starts, stops and breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from vault.store.embedded import EmbeddedDatabase


@dataclass
class ExternalDatabase:
    """`url` names the user `dba`-like `postgres`; `url_of` any other."""

    folder: Path
    server: EmbeddedDatabase | None = None

    async def start(self) -> ExternalDatabase:
        self.server = await EmbeddedDatabase.start(self.folder, holder="serve")
        return self

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop()
            self.server = None

    def url_of(self, user: str, database: str = "panless") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder / 'run'}&port=5432"

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    async def execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


@asynccontextmanager
async def external(folder: Path) -> AsyncIterator[ExternalDatabase]:
    database = await ExternalDatabase(folder).start()
    try:
        yield database
    finally:
        await database.stop()
