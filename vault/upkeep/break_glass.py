"""Break glass: the one way in which a person sees a value. Two people, a reason, a time, one token, once.

Rules:
1. Every step is an event before it counts, and every refusal is one; `break_glass.reveal` is committed in the
   transaction that spends the request, before anything is opened.
2. Who approves is another person than who asked, and of role approver.
3. Verification codes are in another table, and are never found here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from vault.audit.event import Event, Outcome
from vault.crypto.data_key import DataKey
from vault.crypto.envelope import Binding, unseal
from vault.errors import (
    BreakGlassApproved,
    BreakGlassDisabled,
    BreakGlassExpired,
    BreakGlassNotApproved,
    BreakGlassNoTerminal,
    BreakGlassNotYours,
    BreakGlassOwnRequest,
    BreakGlassRefused,
    BreakGlassSpent,
    BreakGlassUnknown,
    KeyFailure,
    NotAToken,
    PanlessError,
    TokenExpired,
    TokenUnknown,
)
from vault.keys.keks import Keks
from vault.keys.keyring import Keyring
from vault.kinds import KINDS, Storage
from vault.operators import Operator, OperatorRole, Operators
from vault.policy import GlassPermit
from vault.recorded import by_operator
from vault.requests import Context
from vault.sensitive import Sensitive
from vault.store.audit import append
from vault.store.break_glass import (
    GlassRow,
    VaultedRow,
    add_request,
    approve_request,
    find_request,
    find_vaulted,
    holds_key,
    spend_request,
)
from vault.store.credentials import OPERATOR_KEYS
from vault.store.database import Connection, Database, Role, translated
from vault.store.keys import KeyRows
from vault.tokens import Token, recognise, uuid7

REQUEST, APPROVE, REVEAL = "break_glass.request", "break_glass.approve", "break_glass.reveal"
_ROLES = {
    REQUEST: (OperatorRole.OPERATOR, OperatorRole.APPROVER),
    APPROVE: (OperatorRole.APPROVER,),
    REVEAL: (OperatorRole.OPERATOR, OperatorRole.APPROVER),
}


@dataclass(frozen=True, slots=True)
class Step:
    """What was done: by whom, for which request, and what an alert has to say."""

    action: str
    operator: str
    request: GlassRow

    @property
    def token(self) -> str:
        return str(Token("tok", self.request.token))


class BreakGlass:
    """The steps, each by a person who signs in with a key of their own. `lifetime`: of a request."""

    def __init__(self, connection: Connection, *, enabled: bool, lifetime: timedelta) -> None:
        self._connection = connection
        self._enabled = enabled
        self._lifetime = lifetime
        self._context = Context("-", "-", "-", by_operator())

    @classmethod
    @asynccontextmanager
    async def open(cls, database: Database, *, enabled: bool, lifetime: timedelta) -> AsyncIterator[BreakGlass]:
        connection = await database.connect(Role.OWNER)
        try:
            yield cls(connection, enabled=enabled, lifetime=lifetime)
        finally:
            await connection.close()

    async def request(self, key: str, token: str, reason: str) -> Step:
        """Ask to see the value of a token; raises Denied, BreakGlassRefused or TokenRejected."""
        operator = await self._sign_in(key, REQUEST)
        try:
            known = recognise(token)
            row = await self._vaulted(known)
            assert known is not None  # noqa: S101  # else nothing was found
            now = datetime.now(UTC)
            asked = GlassRow(uuid7(), known.id, row.tenant, reason, operator.name, now, now + self._lifetime)
        except PanlessError as error:
            await self._record(REQUEST, operator, None, refusal=error, reason=reason)
            raise
        async with self._transaction():
            await add_request(self._connection, asked)
            await self._record(REQUEST, operator, asked)
        return Step(REQUEST, operator.name, asked)

    async def approve(self, key: str, request: UUID) -> Step:
        """Agree to what another person asked for; raises Denied or BreakGlassRefused."""
        operator = await self._sign_in(key, APPROVE)
        async with self._checked(APPROVE, operator, request) as asked:
            await approve_request(self._connection, request, operator.name, datetime.now(UTC))
            await self._record(APPROVE, operator, asked)
        return Step(APPROVE, operator.name, asked)

    async def show(self, key: str, request: UUID, keks: Keks, *, terminal: bool) -> tuple[Step, Sensitive]:
        """Return the value, once; raises Denied, BreakGlassRefused, KeyFailure or StoreError.

        VaultSealed is raised before anything is spent: with the KEK open it may be called again.
        """
        operator = await self._sign_in(key, REVEAL)
        async with self._checked(REVEAL, operator, request, terminal=terminal) as asked:
            pass  # may it be shown? What follows may take long
        token = Token("tok", asked.token)
        try:
            row = await self._vaulted(token)
            opener = await self._key(keks, row)
        except PanlessError as error:
            await self._record(REVEAL, operator, asked, refusal=error)
            raise
        async with self._checked(REVEAL, operator, request, terminal=terminal) as asked:
            if not await spend_request(self._connection, request, datetime.now(UTC)):
                raise BreakGlassSpent(request=str(request))
            await self._record(REVEAL, operator, asked)
        permit = GlassPermit(str(asked.id), operator.name, asked.approved_by or "", str(token), asked.tenant)
        return Step(REVEAL, operator.name, asked), await self._opened(permit, operator, asked, row, opener)

    async def _opened(
        self, permit: GlassPermit, operator: Operator, asked: GlassRow, row: VaultedRow, key: DataKey
    ) -> Sensitive:
        token = recognise(permit.token)
        assert token is not None  # noqa: S101  # permits are for tokens
        try:
            return unseal(key, row.sealed, Binding(permit.tenant, token, row.kind))
        except PanlessError as error:
            await self._record(REVEAL, operator, asked, refusal=error)
            raise

    async def _key(self, keks: Keks, row: VaultedRow) -> DataKey:
        keyring = Keyring(keks, KeyRows(self._connection), cache_seconds=1)
        return await keyring.opening_key(row.data_key)

    async def _vaulted(self, token: Token | None) -> VaultedRow:
        if token is None or token.prefix != "tok":
            raise NotAToken(at="TOKEN")
        row = await find_vaulted(self._connection, token.id)
        if row is None or KINDS[row.kind].storage is not Storage.VAULT:
            raise TokenUnknown(token=str(token))
        if row.expires_at is not None and row.expires_at <= datetime.now(UTC):
            raise TokenExpired(token=str(token))
        return row

    async def _sign_in(self, key: str, action: str) -> Operator:
        used: list[bytes] = []
        operators = Operators(self._connection, self._append, used.append)
        operator = await operators.sign_in(key, self._context)
        await OPERATOR_KEYS.use(self._connection, [(digest, datetime.now(UTC)) for digest in used])
        await operators.check(operator, *_ROLES[action], action=action, context=self._context)
        if not self._enabled:
            await self._record(action, operator, None, refusal=BreakGlassDisabled())
            raise BreakGlassDisabled
        return operator

    @asynccontextmanager
    async def _checked(
        self, action: str, operator: Operator, request: UUID, *, terminal: bool = True
    ) -> AsyncIterator[GlassRow]:
        """Yield a request, locked, in a transaction; records a refusal after that is undone."""
        asked: GlassRow | None = None
        try:
            async with self._transaction():
                asked = await find_request(self._connection, request)
                _check(action, operator, asked, request, terminal=terminal)
                assert asked is not None  # noqa: S101  # `_check` says so
                if action == REVEAL and not await holds_key(self._connection, asked.approved_by, datetime.now(UTC)):
                    raise BreakGlassNotApproved(request=str(request))  # who agreed was revoked since
                yield asked
        except BreakGlassRefused as error:
            await self._record(action, operator, asked, refusal=error)
            raise

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        with translated():
            async with self._connection.transaction():
                yield

    async def _record(
        self,
        action: str,
        operator: Operator,
        asked: GlassRow | None,
        *,
        refusal: PanlessError | None = None,
        reason: str | None = None,
    ) -> None:
        outcome = Outcome.PERMITTED
        if refusal is not None:
            outcome = Outcome.FAILED if isinstance(refusal, KeyFailure) else Outcome.DENIED
        done = Event(
            at=datetime.now(UTC),
            action=action,
            outcome=outcome,
            code=refusal.code if refusal else None,
            tenant=asked.tenant if asked else None,
            origin=self._context.origin,
            request_id=str(asked.id) if asked else None,
            tokens=(str(Token("tok", asked.token)),) if asked else (),
            operator=operator.name,
            reason=asked.reason if asked else reason,
        )
        await self._append(done)

    async def _append(self, done: Event) -> None:
        await append(self._connection, [done])


def _check(action: str, operator: Operator, asked: GlassRow | None, request: UUID, *, terminal: bool) -> None:
    """Raise BreakGlassRefused unless this person may take this step now."""
    about = {"request": str(request)}
    if asked is None:
        raise BreakGlassUnknown(**about)
    if asked.expires_at <= datetime.now(UTC):
        raise BreakGlassExpired(**about)
    mine = asked.requested_by == operator.name
    if action == APPROVE:
        if mine:
            raise BreakGlassOwnRequest(**about)
        if asked.approved_at is not None:
            raise BreakGlassApproved(**about)
        return
    if not mine:
        raise BreakGlassNotYours(**about)
    if asked.approved_at is None or asked.approved_by in (None, operator.name):
        raise BreakGlassNotApproved(**about)
    if asked.revealed_at is not None:
        raise BreakGlassSpent(**about)
    if not terminal:
        raise BreakGlassNoTerminal
