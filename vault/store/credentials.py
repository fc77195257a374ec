"""The tables `app_keys` and `operator_keys`: what somebody is known by, as digests. They differ in whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from vault.crypto.credentials import Credential
from vault.store.database import Connection, Pool, translated

ID_DIGITS = 10


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A key or certificate of an application or an operator; `id` is how people name it."""

    digest: bytes = field(repr=False)
    holder: str
    kind: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def id(self) -> str:
        return self.digest.hex()[:ID_DIGITS]

    def state(self, now: datetime) -> str:
        """Return `active`, `revoked` or `expired`."""
        if self.revoked_at is not None:
            return "revoked"
        return "active" if self.expires_at is None or self.expires_at > now else "expired"


class CredentialTable:
    """The statements of one of the tables. `holder` is the column that says whose a row is."""

    def __init__(self, name: str, holder: str) -> None:
        self._add = (
            f"INSERT INTO {name} (digest, {holder}, kind, created_at, expires_at) VALUES ($1, $2, $3, $4, $5) "  # noqa: S608
            "ON CONFLICT DO NOTHING RETURNING digest"
        )
        self._list = (
            f"SELECT digest, {holder}, kind, created_at, expires_at, revoked_at, last_used_at FROM {name} "  # noqa: S608
            f"ORDER BY {holder}, created_at, digest"
        )
        self._revoke = (
            f"UPDATE {name} SET revoked_at = $2 WHERE {holder} = $1 AND revoked_at IS NULL "  # noqa: S608
            f"AND ($3::text IS NULL OR left(encode(digest, 'hex'), {ID_DIGITS}) = $3) RETURNING digest"
        )
        self._expire = (
            f"UPDATE {name} SET expires_at = $2 WHERE {holder} = $1 AND kind = 'key' AND revoked_at IS NULL "  # noqa: S608
            "AND (expires_at IS NULL OR expires_at > $2) RETURNING digest"
        )
        self._use = (
            f"UPDATE {name} SET last_used_at = used.at "  # noqa: S608
            "FROM unnest($1::bytea[], $2::timestamptz[]) AS used (digest, at) "
            f"WHERE {name}.digest = used.digest AND (last_used_at IS NULL OR last_used_at < used.at)"
        )

    async def add(
        self, connection: Connection, holder: str, credential: Credential, at: datetime, expires_at: datetime | None
    ) -> bool:
        """Add a credential; False if somebody has it already."""
        values = (credential.digest, holder, credential.kind.value, at, expires_at)
        with translated():
            return await connection.fetchval(self._add, *values) is not None

    async def all(self, connection: Connection) -> list[CredentialRow]:
        with translated():
            return [CredentialRow(*row) for row in await connection.fetch(self._list)]

    async def revoke(self, connection: Connection, holder: str, at: datetime, key: str | None = None) -> int:
        """Revoke all credentials of a holder, or the one with id `key`; return how many."""
        with translated():
            return len(await connection.fetch(self._revoke, holder, at, key))

    async def expire(self, connection: Connection, holder: str, at: datetime) -> int:
        """Let the keys of a holder end at a time, those that do not end before; return how many."""
        with translated():
            return len(await connection.fetch(self._expire, holder, at))

    async def use(self, executor: Pool | Connection, uses: Sequence[tuple[bytes, datetime]]) -> None:
        """Write down when credentials were last used."""
        rows = sorted(uses)  # in one order, so that two processes do not wait for each other
        with translated():
            await executor.execute(self._use, [digest for digest, _ in rows], [at for _, at in rows])


APP_KEYS = CredentialTable("app_keys", "app")
OPERATOR_KEYS = CredentialTable("operator_keys", "operator")
