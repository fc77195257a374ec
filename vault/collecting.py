"""What browsers hand in directly: hosted fields, each request with a session that is good for one.

Rules:
1. A session is spent in the commit that stores what it was for; whatever is refused has not spent it.
2. What one address hands in is counted in that commit, too, and what would go over a limit is not stored.
3. What is refused to strangers costs nobody else: it is remembered here, and does not join the others' commit again.
4. A token that a browser sees is a new one: the time in it must not tell whether the card was known before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from vault.audit.event import Event, Outcome
from vault.braking import Brakes
from vault.errors import (
    FieldSessionEnded,
    NotAToken,
    TokenExpired,
    TokenOfWrongKind,
    TokenRejected,
    TokenUnknown,
    VelocityExceeded,
)
from vault.field_sessions import FieldSession, Opened
from vault.keys.keyring import Keyring
from vault.kinds import PAN
from vault.opening import Opening
from vault.recent import Recent
from vault.recorded import event, velocity_event
from vault.requests import Context, NewValue, Reference
from vault.sealing import Sealed, Sealing
from vault.sensitive import Sensitive
from vault.store.records import Records, Wanted
from vault.store.rows import Write
from vault.store.writer import Writer
from vault.tokens import Token, recognise
from vault.velocity import Count, Then, origin_subject

RULE = "fields.address"


@dataclass(frozen=True, slots=True)
class FieldRules:
    """`windows`: how often one address may hand something in, by seconds of the window.

    `reuse_tokens`: the same card may get the token that it has, although that token then tells since when.
    """

    windows: Mapping[int, int] = field(default_factory=dict)
    reuse_tokens: bool = False


class Collecting:
    """Takes in, for one vault, what comes with a session."""

    def __init__(
        self,
        keyring: Keyring,
        *,
        sealing: Sealing,
        opening: Opening,
        records: Records,
        writer: Writer,
        brakes: Brakes,
    ) -> None:
        self._keyring = keyring
        self._sealing = sealing
        self._opening = opening
        self._records = records
        self._writer = writer
        self._brakes = brakes
        self._recent = Recent()

    async def tokenize(
        self,
        opened: Opened,
        values: Sequence[NewValue],
        context: Context,
        rules: FieldRules,
        *,
        card: str | None = None,
    ) -> list[Token]:
        """Return one token per value, with the session spent. `card`: the token that a code among them belongs to.

        Raises FieldSessionEnded, VelocityExceeded, ValueRejected, TokenRejected, KeyFailure or StoreError; then nothing
        is stored, and the session is not spent.
        """
        tenant, subject = opened.key.tenant, origin_subject(context.origin)
        counts = [Count(subject, seconds, 1, most, RULE, Then.THROTTLE) for seconds, most in rules.windows.items()]
        self._recent.check(opened.session.id, subject)
        self._brakes.check((subject,))
        try:
            of = await self._card(card, tenant) if card is not None else None
            new = [replace(each, fresh=not rules.reuse_tokens, card=of) for each in values]
            write = partial(self._write, new, tenant, context, session=opened.session, counts=counts)
            tokens = await self._keyring.while_changing(write)
        except FieldSessionEnded:
            self._recent.spent(opened.session.id)
            raise
        except TokenRejected as error:
            refusal = event(context, "tokenize", Outcome.DENIED, code=error.code, tenant=tenant)
            await self._counted(Write(lambda _tokens: refusal, counts=counts), counts)
            raise
        except VelocityExceeded as error:
            await self._limited(error, counts)
            raise
        self._recent.spent(opened.session.id)
        return tokens

    async def _counted(self, write: Write, counts: Sequence[Count]) -> None:
        """Record a refusal, which counts as what it refuses; raises VelocityExceeded in its place."""
        try:
            await self._writer.write(write)
        except VelocityExceeded as error:
            await self._limited(error, counts)
            raise

    async def _limited(self, error: VelocityExceeded, counts: Sequence[Count]) -> None:
        """Let the address wait; the first refusal of a window is recorded: strangers must not fill the log."""
        self._recent.wait(str(error.ids["subject"]), timedelta(seconds=int(error.ids["seconds"])))
        if (count := await self._brakes.refused(error, counts)) is not None:
            told = velocity_event(count)
            await self._writer.write(Write(lambda _tokens: told))

    async def _write(
        self,
        values: Sequence[NewValue],
        tenant: str,
        context: Context,
        *,
        session: FieldSession,
        counts: Sequence[Count],
    ) -> list[Token]:
        sealed = await self._sealing.sealed(values, tenant)
        write = Write(
            partial(_event, sealed, tenant, context),
            sealed.records,
            sealed.leases,
            changes=sealed.changes,
            counts=counts,
            session=(session.id, session.ends),
        )
        return sealed.tokens(await self._writer.write(write))

    async def _card(self, text: str, tenant: str) -> UUID:
        """Return the card whose token a text is, opaque or card-shaped; raises TokenRejected."""
        token = recognise(text)
        if token is None:
            (found,) = await self._opening.by_token([Reference(PAN, None, "token", None, Sensitive(text))], tenant)
            token = found.token
        if token is None:
            raise NotAToken(at="token")
        (rows,) = await self._records.find([Wanted(frozenset({token.number}), frozenset())])
        row = next(iter(rows), None)
        if row is None or row.tenant != tenant:  # a browser is not told which
            raise TokenUnknown(token=str(token))
        if row.kind != PAN.name:
            raise TokenOfWrongKind(token=str(token), kind=PAN.name)
        if row.expires_at is not None and row.expires_at <= datetime.now(UTC):
            raise TokenExpired(token=str(token))
        return token.id


def _event(sealed: Sealed, tenant: str, context: Context, final: Sequence[Token]) -> Event:
    cards = [Token(PAN.token_prefix, lease.card) for lease in sealed.leases if lease.card is not None]
    return event(context, "tokenize", Outcome.PERMITTED, tenant=tenant, tokens=[*sealed.tokens(final), *cards])
