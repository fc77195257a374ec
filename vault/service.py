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
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from vault.audit.event import Event, Outcome
from vault.braking import Brakes
from vault.bulk import Bulk
from vault.checkpointing import Checkpointing
from vault.collecting import Collecting
from vault.crypto.credentials import Credential, credential_of
from vault.documents import Documents
from vault.errors import (
    AppKeyExpired,
    AppKeyRevoked,
    AppUnknown,
    KeyProviderUnavailable,
    NotAToken,
    PanlessError,
)
from vault.field_sessions import FieldSessions
from vault.heartbeat import Heartbeat
from vault.keys.keks import Keks
from vault.keys.keyring import Keyring
from vault.keys.lease_keys import LeaseKeys
from vault.keys.providers import build_all
from vault.opening import LOOK_UP_LIMIT, Opening
from vault.operators import Operators
from vault.policy import Denial, Permit, Principal
from vault.recorded import OWN, denial_event, event, reveal_event
from vault.requests import Context, NewValue, Reference, Revealed
from vault.revealing import Revealing
from vault.sealing import Sealing
from vault.settings import VaultSettings
from vault.store.apps import KeyHolder, KeyHolders
from vault.store.batch import Batcher
from vault.store.bulk import BulkWriter
from vault.store.credentials import APP_KEYS, OPERATOR_KEYS
from vault.store.database import Database, Pool, Role
from vault.store.holding import Holding
from vault.store.keys import KeyRows
from vault.store.last_use import LastUse
from vault.store.processes import ProcessRows
from vault.store.records import Records, Wanted
from vault.store.rows import Write
from vault.store.velocity import VelocityRows
from vault.store.writer import Statistics, Writer
from vault.tokens import Token
from vault.velocity import Limits, origin_subject

POOL_SIZE = 8
PURGE_LIMIT = 500


class Vault:
    """The vault of one process. Build it with `open`; `close` finishes what was accepted."""

    def __init__(self, settings: VaultSettings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._often = Holding(pool)
        self._records = Records(pool, self._often)
        self.keks = Keks(build_all(settings.providers), KeyRows(pool), per_tenant=settings.tenant_keks)
        self._keyring = Keyring(self.keks, KeyRows(pool), cache_seconds=settings.key_cache.total_seconds())
        processes = ProcessRows(pool)
        self._lease_keys = LeaseKeys(self._keyring, processes, settings.cvc_lifetime)
        self._brakes = Brakes(settings.limits, VelocityRows(pool))
        self._app_uses, operator_uses = LastUse(pool, APP_KEYS), LastUse(pool, OPERATOR_KEYS)
        uses = (self._app_uses, operator_uses)
        self._heartbeat = Heartbeat(
            self.keks, self._keyring, self._lease_keys, processes, brakes=self._brakes, uses=uses
        )
        self.checkpointing = Checkpointing(self._keyring, pool, settings.checkpoint_every)
        self.documents = Documents(self._keyring)
        self._sealing = Sealing(self._keyring, self._lease_keys, settings)
        self._writer = Writer(self._often, self._records, cvc_attempts=settings.cvc_attempts)
        self._bulk_writer = BulkWriter(pool, self._writer)
        self._bulk = Bulk(self._keyring, self._records, self._bulk_writer, settings)
        self._opening = Opening(self._keyring, self._lease_keys, self._records, settings)
        self._revealing = Revealing(self._opening, self._writer, self._brakes)
        self._writer.crossed = self._revealing.crossed
        self.field_sessions = FieldSessions(pool, self._keyring)
        self.collecting = Collecting(
            self._keyring,
            sealing=self._sealing,
            opening=self._opening,
            records=self._records,
            writer=self._writer,
            brakes=self._brakes,
        )
        self.operators = Operators(
            pool, self._write_event, operator_uses.note, admit=self._admit, guessed=self._write_guess
        )
        self._key_holders = KeyHolders(pool, self._often)
        self._holders: Batcher[Credential, KeyHolder | None] = Batcher(self._key_holders.find, limit=LOOK_UP_LIMIT)
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
        await self._revealing.close()
        await self.field_sessions.close()
        await self._bulk_writer.close()
        await self._writer.close()
        await self.checkpointing.stop()
        await self._opening.close()
        await self._holders.close()
        await self._ended.close()
        await self.keks.close()
        await self._often.close()
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

    def limit(self, limits: Limits) -> None:
        """Let other velocity limits hold from now on."""
        self._brakes.limits = limits

    async def show(self) -> None:
        """Let other processes know at once which keys this one can open."""
        await self._heartbeat.now()

    def forget_keys(self) -> None:
        """Hold no unwrapped key any longer."""
        self._keyring.forget()
        self._lease_keys.forget()

    async def identify(self, key: str, context: Context, certificate: bytes | None = None) -> Principal:
        """Return who holds an application key or, without one, a client certificate (DER).

        Raises AppUnknown, AppKeyRevoked or AppKeyExpired, and records that; VelocityExceeded for an address that has
        tried too many.
        """
        self._admit(context.origin)
        credential = credential_of(key, certificate)
        holder = await self._holders.submit(credential) if credential is not None else None
        if credential is None or holder is None:
            raise await self._denied(AppUnknown(), context, "authenticate")
        if holder.revoked:
            raise await self._denied(AppKeyRevoked(), context, "authenticate", app=holder.app)
        if holder.expires_at is not None and holder.expires_at <= datetime.now(UTC):
            raise await self._denied(AppKeyExpired(), context, "authenticate", app=holder.app)
        self._app_uses.note(credential.digest)
        return Principal(holder.app, holder.tenant)

    async def acting_for(self, app: str, tenant: str, context: Context) -> Principal:
        """Return an application that asked earlier; if it has no key left, raises AppKeyRevoked, and records that."""
        if not await self._key_holders.is_in_use(app, tenant):
            raise await self._denied(AppKeyRevoked(), context, "authenticate", app=app)
        return Principal(app, tenant)

    async def record(
        self,
        action: str,
        context: Context,
        *,
        app: str | None = None,
        tenant: str | None = None,
        refusal: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Record something that was done without touching a value or, with the code of a `refusal`, was not done."""
        outcome = Outcome.PERMITTED if refusal is None else Outcome.DENIED
        done = event(context, action, outcome, code=refusal, app=app, tenant=tenant)
        await self._write_event(replace(done, reason=reason))

    async def record_denial(self, denial: Denial, context: Context) -> None:
        """Record what policy refused."""
        refused = denial_event(context, denial)
        guessed = self._brakes.of_failure(f"app:{denial.principal.app}") if denial.code == NotAToken.code else []
        await self._writer.write(Write(lambda _tokens: refused, counts=guessed))

    async def record_certificate(self, permit: Permit, context: Context) -> None:
        """Record that what was revealed goes over a connection with the certificate that the permit names now."""
        await self._write_event(replace(reveal_event(context, permit, ()), action="upstream.certificate"))

    async def _write_event(self, done: Event) -> None:
        await self._writer.write(Write(lambda _tokens: done))

    async def tokenize(
        self, values: Sequence[NewValue], tenant: str, context: Context, *, customer: str | None = None
    ) -> list[Token]:
        """Return one token per value. Nothing is stored if one of them is refused.

        `customer`: whose the values are, in the application's own words.
        """
        if customer is None and (given := await self._bulk.tokenize(values, tenant, context)) is not None:
            return given
        return await self._keyring.while_changing(partial(self._tokenize, values, tenant, context, customer))

    async def _tokenize(
        self, values: Sequence[NewValue], tenant: str, context: Context, customer: str | None
    ) -> list[Token]:
        sealed = await self._sealing.sealed(values, tenant)
        tokens: list[Token] = []

        def tells(final: Sequence[Token]) -> Event:
            tokens[:] = sealed.tokens(final)
            return event(context, "tokenize", Outcome.PERMITTED, tenant=tenant, tokens=tokens)

        await self._writer.write(Write(tells, sealed.records, sealed.leases, changes=sealed.changes, customer=customer))
        return tokens

    async def reveal(
        self, references: Sequence[Reference], permit: Permit, context: Context, *, again: bool = False
    ) -> list[Revealed]:
        """Return the plaintexts that the permit allows, after the event that says so is durable.

        `again`: it is for the same request as before, which does not use a token of limited use twice. Raises
        TokenRejected, KeyFailure, VelocityExceeded, RevealsStopped or StoreError; then nothing was opened, and the
        refusal is recorded.
        """
        return await self._revealing.reveal(references, permit, context, again=again)

    async def resolve(self, references: Sequence[Reference], tenant: str) -> list[Reference]:
        """Return the references with the tokens that their digits are. Nothing is revealed; raises NotAToken."""
        return await self._opening.by_token(references, tenant)

    async def settle(self, revealed: Sequence[Revealed]) -> None:
        """End the CVC leases among what was revealed: the gateway has given its definite answer."""
        leases = [each.lease for each in revealed if each.lease is not None]
        if leases:
            await self._ended.submit(leases)

    async def give_back(self, revealed: Sequence[Revealed]) -> None:
        """Give tokens of limited use their use back: the destination has not taken what was revealed."""
        if spent := [each.spent for each in revealed if each.spent is not None]:
            await self._records.give_back(spent)

    async def purge_leases(self) -> int:
        """Delete the leases whose time is up; return how many."""
        return await self._records.purge_leases(datetime.now(UTC))

    async def purge_tokens(self) -> int:
        """Delete some of the records whose time is up, and record that; return how many."""
        purged = await self._records.purge_tokens(PURGE_LIMIT)
        by_tenant: dict[str, list[Token]] = {}
        for token, tenant in purged:
            by_tenant.setdefault(tenant, []).append(Token("tok", token))
        for tenant, tokens in by_tenant.items():
            await self._record_purge(tenant, tokens)
        return len(purged)

    async def _record_purge(self, tenant: str, tokens: Sequence[Token]) -> None:
        purged = event(OWN, "purge", Outcome.PERMITTED, tenant=tenant, tokens=tokens)
        await self._writer.write(Write(lambda _tokens: purged))

    async def _denied(self, error: PanlessError, context: Context, action: str, app: str | None = None) -> PanlessError:
        refusal = event(context, action, Outcome.DENIED, code=error.code, app=app)
        await (self._write_guess if isinstance(error, AppUnknown) else self._write_event)(refusal)
        return error

    def _admit(self, origin: str | None) -> None:
        self._brakes.check(map(origin_subject, (origin,)))

    async def _write_guess(self, done: Event) -> None:
        counts = self._brakes.of_failure(origin_subject(done.origin))
        await self._writer.write(Write(lambda _tokens: done, counts=counts))
