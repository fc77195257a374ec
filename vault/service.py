"""The vault: identify, tokenize, reveal, settle. Each call takes many values and makes one round trip per step.

Rules:
1. Values are checked and sealed before anything is written; a token is returned only after its record, and the event
   that tells of it, are committed.
2. `reveal` asks for a Permit, and opens nothing before the event is committed.
3. A principal, a reveal or a token that is refused is recorded as well, with the code of the refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from vault.audit.event import Event, Outcome
from vault.card_tokens import CardShape, card_token
from vault.crypto.app_key import digest
from vault.crypto.data_key import DataKey
from vault.crypto.envelope import Binding, seal, unseal
from vault.crypto.fingerprint import derived, fingerprint
from vault.errors import AppKeyRevoked, AppUnknown, KeyFailure, NotAToken, PanlessError, TokenRejected
from vault.keys.file import FileKeyProvider
from vault.keys.keyring import Keyring
from vault.kinds import PAN, Description, Storage, code_length
from vault.policy import Denial, Permit, Principal
from vault.requests import Context, NewValue, Reference, Revealed
from vault.sensitive import Sensitive
from vault.settings import VaultSettings
from vault.store.apps import KeyHolder, KeyHolders
from vault.store.batch import Batcher
from vault.store.database import Database, Pool, Role
from vault.store.keys import KeyRows
from vault.store.records import Candidate, Known, NewLease, NewRecord, Records, SealedRow, Wanted
from vault.store.rows import Write
from vault.store.selection import Selection
from vault.store.writer import Statistics, Writer
from vault.tokens import Token, mint

POOL_SIZE = 8
LOOK_UP_LIMIT = 512
CANDIDATES = 8


class Vault:
    """The vault of one process. Build it with `open`; `close` finishes what was accepted."""

    def __init__(self, settings: VaultSettings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._records = Records(pool)
        self._keyring = Keyring(
            FileKeyProvider(settings.kek_file),
            KeyRows(pool),
            cache_seconds=settings.key_cache.total_seconds(),
        )
        self._writer = Writer(pool, self._records, cvc_attempts=settings.cvc_attempts)
        self._rows: Batcher[Wanted, list[SealedRow]] = Batcher(self._records.find, limit=LOOK_UP_LIMIT)
        self._marks: Batcher[Sequence[bytes], dict[bytes, Known]] = Batcher(
            self._records.find_fingerprints, limit=LOOK_UP_LIMIT
        )
        self._holders: Batcher[bytes, KeyHolder | None] = Batcher(KeyHolders(pool).find, limit=LOOK_UP_LIMIT)
        self._ended: Batcher[Sequence[UUID], None] = Batcher(self._records.end_leases, limit=LOOK_UP_LIMIT)

    @classmethod
    async def open(cls, settings: VaultSettings, database: Database) -> Vault:
        """Connect as the proxy role; raises StoreError or KeyUnavailable."""
        pool = await database.pool(Role.PROXY, size=POOL_SIZE)
        try:
            vault = cls(settings, pool)
            await vault._keyring.check()
        except PanlessError:
            await pool.close()
            raise
        return vault

    async def close(self) -> None:
        """Finish all writes, then disconnect."""
        await self._writer.close()
        for batcher in (self._rows, self._marks, self._holders, self._ended):
            await batcher.close()
        await self._pool.close()

    @property
    def statistics(self) -> Statistics:
        """What the writer did so far."""
        return self._writer.statistics

    async def health(self) -> None:
        """Raise a PanlessError if the database or the key provider does not answer."""
        await self._keyring.health()
        await self._records.find([Wanted(frozenset(), frozenset())])

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
        event = _event(context, action, outcome, code=refusal, app=app, tenant=tenant)
        await self._writer.write(Write(lambda _tokens: event))

    async def record_denial(self, denial: Denial, context: Context) -> None:
        """Record what policy refused."""
        principal = denial.principal
        await self._writer.write(
            Write(
                lambda _tokens: _event(
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
        normal = [each.kind.normalise(each.value, each.at) for each in values]
        tokens = [_minted(each, value) for each, value in zip(values, normal, strict=True)]
        vaulted = [i for i, each in enumerate(values) if each.kind.storage is Storage.VAULT]
        records = [await self._record(values[i], normal[i], tokens[i], tenant) for i in vaulted]
        leases = [
            await self._lease(each, normal[i], tokens[i], tenant, vaulted)
            for i, each in enumerate(values)
            if each.kind.storage is Storage.LEASE
        ]

        def resolved(final: Sequence[Known]) -> list[Token]:
            stored = dict(zip(vaulted, final, strict=True))
            return [Token(token.prefix, *stored[i]) if i in stored else token for i, token in enumerate(tokens)]

        def event(final: Sequence[Known]) -> Event:
            return _event(context, "tokenize", Outcome.PERMITTED, tenant=tenant, tokens=resolved(final))

        return resolved(await self._writer.write(Write(event, records, leases)))

    async def _record(self, new: NewValue, value: Sensitive, token: Token, tenant: str) -> NewRecord:
        key = await self._keyring.sealing_key(tenant)
        sealed = seal(key, value, Binding(tenant, token, new.kind.name))
        about = new.kind.describe(value)
        mark, candidates = None, []
        reused = self._settings.reuse_tokens and new.kind.reusable
        if reused or new.shape is not None:
            marking = await self._keyring.fingerprint_key(tenant)
            mark = fingerprint(marking, new.kind.name, value) if reused else None
            if new.shape is not None:
                candidates = _candidates(marking, new.shape, about, mark or token.id.bytes)
        return NewRecord(mark, token.id, tenant, new.kind.name, key.id, sealed, about.brand, about.last4, candidates)

    async def _lease(
        self, new: NewValue, value: Sensitive, token: Token, tenant: str, vaulted: Sequence[int]
    ) -> NewLease:
        key = await self._keyring.sealing_key(tenant)
        sealed = seal(key, value, Binding(tenant, token, new.kind.name))
        card = vaulted.index(new.of) if new.of is not None else None
        ends = datetime.now(UTC) + self._settings.cvc_lifetime
        return NewLease(token.id, card, tenant, key.id, sealed, ends)

    async def reveal(self, references: Sequence[Reference], permit: Permit, context: Context) -> list[Revealed]:
        """Return the plaintexts that the permit allows, after the event that says so is durable.

        Raises TokenRejected, KeyFailure or StoreError; then nothing was opened, and the refusal is recorded.
        """
        tokens: list[Token] = []
        try:
            references = await self._by_token(references, permit.principal.tenant)
            tokens = [each.token for each in references if each.token is not None]
            selection = Selection(
                references,
                permit.principal.tenant,
                self._settings.cvc_lifetime,
                self._settings.cvc_attempts,
            )
            rows = selection.choose(await self._rows.submit(selection.wanted()))
            keys = [await self._keyring.opening_key(row.data_key) for row in rows]
            tokens = [_found(r, row) for r, row in zip(references, rows, strict=True)]
            leases = [row.token for row in rows if row.attempts is not None]
            await self._writer.write(Write(lambda _final: _reveal_event(context, permit, tokens), used_leases=leases))
            bindings = [Binding(row.tenant, t, row.kind) for t, row in zip(tokens, rows, strict=True)]
            opened = [unseal(k, row.sealed, b) for k, row, b in zip(keys, rows, bindings, strict=True)]
        except (TokenRejected, KeyFailure) as error:
            refusal = _reveal_event(context, permit, tokens, error)
            await self._writer.write(Write(lambda _final: refusal))
            raise
        return [
            Revealed(value, token, None if row.attempts is None else row.token)
            for value, token, row in zip(opened, tokens, rows, strict=True)
        ]

    async def _by_token(self, references: Sequence[Reference], tenant: str) -> list[Reference]:
        """Return the references with the tokens that their digits are; raises NotAToken for digits that are none."""
        given = [each.digits for each in references if each.digits is not None]
        if not given:
            return list(references)
        key = await self._keyring.fingerprint_key(tenant)
        marks = [None if each.digits is None else fingerprint(key, PAN.name, each.digits) for each in references]
        known = await self._marks.submit([mark for mark in marks if mark is not None])
        return [
            each if mark is None else _by_digits(each, known.get(mark))
            for each, mark in zip(references, marks, strict=True)
        ]

    async def settle(self, revealed: Sequence[Revealed]) -> None:
        """End the CVC leases among what was revealed: the gateway has given its definite answer."""
        leases = [each.lease for each in revealed if each.lease is not None]
        if leases:
            await self._ended.submit(leases)

    async def purge_leases(self) -> int:
        """Delete the leases whose time is up; return how many."""
        return await self._records.purge_leases(datetime.now(UTC))

    async def _denied(self, error: PanlessError, context: Context, action: str, app: str | None = None) -> PanlessError:
        event = _event(context, action, Outcome.DENIED, code=error.code, app=app)
        await self._writer.write(Write(lambda _tokens: event))
        return error


def _minted(new: NewValue, value: Sensitive) -> Token:
    token = mint(new.kind.token_prefix)
    if new.shape is None or new.kind.storage is not Storage.LEASE:
        return token
    # Any digits do: the code is found through its card's token.
    return replace(token, digits="0" * code_length(value))


def _candidates(key: DataKey, shape: CardShape, about: Description, seed: bytes) -> list[Candidate]:
    """Return the card-shaped forms for one card, always the same ones for the same seed."""
    label = f"card-token {shape.max_length} {shape.keep_bin} {shape.keep_last4} {shape.luhn}"
    entropy = (derived(key, label, seed, bytes([number])) for number in range(CANDIDATES))
    forms = [card_token(shape, about, each) for each in entropy]
    return [Candidate(fingerprint(key, PAN.name, Sensitive(digits)), digits) for digits in forms]


def _found(reference: Reference, row: SealedRow) -> Token:
    digits = reference.token.digits if reference.token is not None else None
    return Token(reference.kind.token_prefix, row.token, digits)


def _by_digits(reference: Reference, known: Known | None) -> Reference:
    if known is None or known.digits is None:
        raise NotAToken(at=reference.at)
    return replace(reference, token=Token(reference.kind.token_prefix, *known))


def _event(
    context: Context,
    action: str,
    outcome: Outcome,
    *,
    code: str | None = None,
    app: str | None = None,
    tenant: str | None = None,
    tokens: Sequence[Token] = (),
) -> Event:
    return Event(
        at=datetime.now(UTC),
        action=action,
        outcome=outcome,
        code=code,
        tenant=tenant,
        app=app,
        route=context.route,
        destination=context.destination,
        origin=context.origin,
        request_id=context.request_id,
        tokens=tuple(map(str, tokens)),
    )


def _reveal_event(
    context: Context, permit: Permit, tokens: Sequence[Token], error: PanlessError | None = None
) -> Event:
    """Return the event of a reveal: where it goes is what the permit says."""
    outcome = Outcome.PERMITTED
    if error is not None:
        outcome = Outcome.DENIED if isinstance(error, TokenRejected) else Outcome.FAILED
    return _event(
        replace(context, route=permit.route, destination=permit.destination),
        permit.action,
        outcome,
        code=error.code if error else None,
        app=permit.principal.app,
        tenant=permit.principal.tenant,
        tokens=tokens,
    )
