"""Operators: people of the admin side, known by a key or a client certificate. Each has one role.

`operator` asks for what is to be done, `auditor` reads the audit log, `approver` agrees to what another one asked for.
Who signs in, and who is refused, is recorded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from vault.audit.event import Event, Outcome
from vault.crypto.credentials import OPERATOR_PREFIX, credential_of
from vault.errors import (
    OperatorKeyExpired,
    OperatorKeyRevoked,
    OperatorNotPermitted,
    OperatorUnknown,
    PanlessError,
)
from vault.recorded import event
from vault.requests import Context
from vault.store.database import Connection, Pool
from vault.store.operators import find_operator


class OperatorRole(StrEnum):
    OPERATOR = "operator"
    AUDITOR = "auditor"
    APPROVER = "approver"


@dataclass(frozen=True, slots=True)
class Operator:
    """A person who has signed in."""

    name: str
    role: OperatorRole


def _everybody(_origin: str | None) -> None:
    pass


class Operators:
    """Signs operators in. `write` makes an event durable; `note` is told which credential was used.

    `admit` raises for an address that has tried too many; `guessed` makes the event of a key that nobody has durable.
    """

    def __init__(
        self,
        executor: Pool | Connection,
        write: Callable[[Event], Awaitable[object]],
        note: Callable[[bytes], None] = lambda _digest: None,
        *,
        admit: Callable[[str | None], None] = _everybody,
        guessed: Callable[[Event], Awaitable[object]] | None = None,
    ) -> None:
        self._admit = admit
        self._guessed = guessed or write
        self._executor = executor
        self._write = write
        self._note = note

    async def sign_in(self, key: str, context: Context, certificate: bytes | None = None) -> Operator:
        """Return whose key or, without one, whose certificate (DER) this is.

        Raises OperatorUnknown, OperatorKeyRevoked or OperatorKeyExpired. Either is recorded. Raises VelocityExceeded or
        RevealsStopped for an address that has tried too many.
        """
        self._admit(context.origin)
        credential = credential_of(key, certificate, OPERATOR_PREFIX)
        holder = await find_operator(self._executor, credential) if credential is not None else None
        if credential is None or holder is None:
            raise await self._refused(OperatorUnknown(), context, None)
        if holder.revoked:
            raise await self._refused(OperatorKeyRevoked(), context, holder.name)
        if holder.expires_at is not None and holder.expires_at <= datetime.now(UTC):
            raise await self._refused(OperatorKeyExpired(), context, holder.name)
        self._note(credential.digest)
        operator = Operator(holder.name, OperatorRole(holder.role))
        await self.record(operator, "operator.sign_in", context)
        return operator

    async def check(self, operator: Operator, *roles: OperatorRole, action: str, context: Context) -> None:
        """Raise OperatorNotPermitted, and record that, unless the operator has one of these roles."""
        if operator.role not in roles:
            error = OperatorNotPermitted(role=operator.role.value)
            await self.record(operator, action, context, refusal=error.code)
            raise error

    async def record(self, operator: Operator, action: str, context: Context, *, refusal: str | None = None) -> None:
        """Record what an operator does or, with the code of a `refusal`, may not do."""
        outcome = Outcome.PERMITTED if refusal is None else Outcome.DENIED
        await self._write(replace(event(context, action, outcome, code=refusal), operator=operator.name))

    async def _refused(self, error: PanlessError, context: Context, name: str | None) -> PanlessError:
        refusal = event(context, "operator.sign_in", Outcome.DENIED, code=error.code)
        write = self._guessed if isinstance(error, OperatorUnknown) else self._write
        await write(replace(refusal, operator=name))
        return error
