"""When credentials were last used: gathered in memory, written now and then, never on the way of a request."""

from __future__ import annotations

from datetime import UTC, datetime

from vault.errors import StoreError
from vault.store.credentials import CredentialTable
from vault.store.database import Pool


class LastUse:
    """The uses of one process, of the credentials of one table."""

    def __init__(self, pool: Pool, table: CredentialTable) -> None:
        self._pool = pool
        self._table = table
        self._uses: dict[bytes, datetime] = {}

    def note(self, digest: bytes) -> None:
        self._uses[digest] = datetime.now(UTC)

    async def write(self) -> None:
        """Write what was noted; what cannot be written now is written the next time. Raises StoreError."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await self._table.use(self._pool, list(uses.items()))
        except StoreError:
            self._uses = uses | self._uses
            raise
