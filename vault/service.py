"""The vault: identify, tokenize, reveal, settle. Each call takes many values and makes one round trip per step.

Rules:
1. Values are checked and sealed before anything is written; a token is returned only after its record, and the event
   that tells of it, are committed.
2. `reveal` asks for a Permit, and opens nothing before the event is committed.
3. A principal, a reveal or a token that is refused is recorded as well, with the code of the refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from vault.audit.event import Event, Outcome
from vault.checkpointing import Checkpointing
from vault.crypto.app_key import digest
from vault.errors import (
    AppKeyRevoked,
    AppUnknown,
    KeyFailure,
    KeyProviderUnavailable,
    KeysChanged,
    PanlessError,
    TokenRejected,
)
from vault.heartbeat import Heartbeat
from vault.keys.keks import Keks
from vault.keys.keyring import Keyring
from vault.keys.lease_keys import LeaseKeys
from vault.keys.providers import build_all
from vault.opening import LOOK_UP_LIMIT, Opening
from vault.policy import Denial, Permit, Principal
from vault.recorded import event, reveal_event
from vault.requests import Context, NewValue, Reference, Revealed
from vault.sealing import Sealed, Sealing
from vault.settings import VaultSettings
from vault.store.apps import KeyHolder, KeyHolders
from vault.store.batch import Batcher
from vault.store.database import Database, Pool, Role
from vault.store.keys import KeyRows
from vault.store.processes import ProcessRows
from vault.store.records import Known, Records, Wanted
from vault.store.rows import Write
from vault.store.writer import Statistics, Writer
from vault.tokens import Token

POOL_SIZE = 8
TRIES = 5


class Vault:
    """The vault of one process. Build it with `open`; `close` finishes what was accepted."""

    def __init__(self, settings: VaultSettings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._records = Records(pool)
        self.keks = Keks(build_all(settings.providers), KeyRows(pool), per_tenant=settings.tenant_keks)
        self._keyring = Keyring(self.keks, KeyRows(pool), cache_seconds=settings.key_cache.total_seconds())
        processes = ProcessRows(pool)
        self._lease_keys = LeaseKeys(self._keyring, processes, settings.cvc_lifetime)
        self._heartbeat = Heartbeat(self.keks, self._keyring, self._lease_keys, processes)
        self.checkpointing = Checkpointing(self._keyring, pool, settings.checkpoint_every)
        self._sealing = Sealing(self._keyring, self._lease_keys, settings)
        self._writer = Writer(pool, self._records, cvc_attempts=settings.cvc_attempts)
        self._opening = Opening(self._keyring, self._lease_keys, self._records, settings)
        self._holders: Batcher[bytes, KeyHolder | None] = Batcher(KeyHolders(pool).find, limit=LOOK_UP_LIMIT)
        self._ended: Batcher[Sequence[UUID], None] = Batcher(self._records.end_leases, limit=LOOK_UP_LIMIT)

    @classmethod
    async def open(cls, settings: VaultSettings, database: Database) -> Vault:
        """Connect as the proxy role; raises StoreError or KeyUnavailable.

        A key provider that does not answer may come back: until then requests are refused.
        """
        pool = await database.pool(Role.PROXY, size=POOL_SIZE)
        try:
            vault = cls(settings, pool)
            with suppress(KeyProviderUnavailable):
                await vault._keyring.check()
            await vault._heartbeat.start()
            vault.checkpointing.start()
        except PanlessError:
            await pool.close()
            raise
        return vault

    async def close(self) -> None:
        """Finish all writes, then disconnect."""
        await self._heartbeat.stop()
        await self._writer.close()
        await self.checkpointing.stop()
        await self._opening.close()
        await self._holders.close()
        await self._ended.close()
        await self.keks.close()
        await self._pool.close()

    @property
    def statistics(self) -> Statistics:
        """What the writer did so far."""
        return self._writer.statistics

    @property
    def providers_up(self) -> bool:
        """Whether the key providers answered when they were last asked."""
        return self._heartbeat.providers_up

    async def health(self) -> None:
        """Raise a PanlessError if the database or the key provider does not answer."""
        await self._keyring.health()
        await self._records.find([Wanted(frozenset(), frozenset())])

    def forget_keys(self) -> None:
        """Hold no unwrapped key any longer."""
        self._keyring.forget()
        self._lease_keys.forget()

    async def identify(self, key: str, context: Context) -> Principal:
        """Return who holds an application key; raises AppUnknown or AppKeyRevoked, and records that."""
        stored = digest(key)
        holder = await self._holders.submit(stored) if stored is not None else None
        if holder is None:
            raise await self._denied(AppUnknown(), context, "authenticate")
        if holder.revoked:
            raise await self._denied(AppKeyRevoked(), context, "authenticate", app=holder.app)
        return Principal(holder.app, holder.tenant)

    async def record(
        self,
        action: str,
        context: Context,
        *,
        app: str | None = None,
        tenant: str | None = None,
        refusal: str | None = None,
    ) -> None:
        """Record something that was done without touching a value or, with the code of a `refusal`, was not done."""
        outcome = Outcome.PERMITTED if refusal is None else Outcome.DENIED
        done = event(context, action, outcome, code=refusal, app=app, tenant=tenant)
        await self._writer.write(Write(lambda _tokens: done))

    async def record_denial(self, denial: Denial, context: Context) -> None:
        """Record what policy refused."""
        principal = denial.principal
        await self._writer.write(
            Write(
                lambda _tokens: event(
                    context,
                    denial.action,
                    Outcome.DENIED,
                    code=denial.code,
                    app=principal.app,
                    tenant=principal.tenant,
                )
            )
        )

    async def tokenize(self, values: Sequence[NewValue], tenant: str, context: Context) -> list[Token]:
        """Return one token per value. Nothing is stored if one of them is refused."""
        for _ in range(TRIES):
            sealed = await self._sealing.sealed(values, tenant)
            try:
                return await self._write(sealed, tenant, context)
            except KeysChanged:  # nothing was written; with the keys as they are now it may be
                await self._keyring.refresh()
        raise KeysChanged

    async def _write(self, sealed: Sealed, tenant: str, context: Context) -> list[Token]:
        def tells(final: Sequence[Known]) -> Event:
            return event(context, "tokenize", Outcome.PERMITTED, tenant=tenant, tokens=sealed.tokens(final))

        changes = sealed.changes if sealed.records else None
        write = Write(tells, sealed.records, sealed.leases, changes=changes)
        return sealed.tokens(await self._writer.write(write))

    async def reveal(self, references: Sequence[Reference], permit: Permit, context: Context) -> list[Revealed]:
        """Return the plaintexts that the permit allows, after the event that says so is durable.

        Raises TokenRejected, KeyFailure or StoreError; then nothing was opened, and the refusal is recorded.
        """
        tokens: list[Token] = []
        try:
            references = await self._opening.by_token(references, permit.principal.tenant)
            tokens = [each.token for each in references if each.token is not None]
            found = await self._opening.found(references, permit.principal.tenant)
            tokens = [each.token for each in found]
            leases = [each.lease for each in found if each.lease is not None]
            await self._writer.write(Write(lambda _final: reveal_event(context, permit, tokens), used_leases=leases))
            return [each.opened() for each in found]
        except (TokenRejected, KeyFailure) as error:
            refusal = reveal_event(context, permit, tokens, error)
            await self._writer.write(Write(lambda _final: refusal))
            raise

    async def settle(self, revealed: Sequence[Revealed]) -> None:
        """End the CVC leases among what was revealed: the gateway has given its definite answer."""
        leases = [each.lease for each in revealed if each.lease is not None]
        if leases:
            await self._ended.submit(leases)

    async def purge_leases(self) -> int:
        """Delete the leases whose time is up; return how many."""
        return await self._records.purge_leases(datetime.now(UTC))

    async def _denied(self, error: PanlessError, context: Context, action: str, app: str | None = None) -> PanlessError:
        refusal = event(context, action, Outcome.DENIED, code=error.code, app=app)
        await self._writer.write(Write(lambda _tokens: refusal))
        return error
