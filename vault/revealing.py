"""Reveals: checked, counted and recorded before anything is opened; and so is what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from vault.audit.event import Event
from vault.braking import Brakes
from vault.errors import (
    Denied,
    KeyFailure,
    NotAToken,
    PanlessError,
    TokenErased,
    TokenOfOtherTenant,
    TokenRejected,
    TokenUnknown,
)
from vault.opening import Found, Opening
from vault.policy import Permit
from vault.recorded import reveal_event, velocity_event
from vault.requests import Context, Reference, Revealed
from vault.store.rows import Write
from vault.store.writer import Writer
from vault.tokens import Token
from vault.velocity import Count, Then

# A request that finds nothing by one of these may be a guess.
_GUESSES = (NotAToken, TokenUnknown, TokenErased, TokenOfOtherTenant)


class Revealing:
    """Reveals for one vault."""

    def __init__(self, opening: Opening, writer: Writer, brakes: Brakes) -> None:
        self._opening = opening
        self._writer = writer
        self._brakes = brakes
        self._telling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Finish what is being recorded."""
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def reveal(
        self, references: Sequence[Reference], permit: Permit, context: Context, *, again: bool = False
    ) -> list[Revealed]:
        """Return the plaintexts that the permit allows, after the event that says so is durable."""
        tokens: list[Token] = []
        counts: list[Count] = []
        app = permit.principal.app
        try:
            self._brakes.check((f"app:{app}", f"route:{permit.route}"))
            references = await self._opening.by_token(references, permit.principal.tenant)
            tokens = [each.token for each in references if each.token is not None]
            self._brakes.check(f"token:{token}" for token in tokens)
            found = await self._opening.found(references, permit, again=again)
            tokens = [each.token for each in found]
            counts = self._brakes.of_reveal(
                app, permit.route, [str(each.token) for each in found if each.lease is None]
            )
            event = reveal_event(context, permit, tokens)
            await self._writer.write(_write(event, found, counts, again=again))
            return [each.opened() for each in found]
        except (TokenRejected, KeyFailure, Denied) as error:
            await self._record_refusal(error, permit, context, tokens)
            if (count := await self._brakes.refused(error, counts)) is not None:
                await self._record_limit(count)
            raise

    async def _record_refusal(
        self, error: PanlessError, permit: Permit, context: Context, tokens: Sequence[Token]
    ) -> None:
        refusal = reveal_event(context, permit, tokens, error)
        counts = self._brakes.of_failure(f"app:{permit.principal.app}") if isinstance(error, _GUESSES) else []
        await self._writer.write(Write(lambda _final: refusal, counts=counts))

    def crossed(self, counts: Sequence[Count]) -> None:
        """Record limits that were gone over though they are only watched, and stop whoever is to be stopped for it.

        In a task of its own: what went over them is done.
        """
        for count in counts:
            task = asyncio.get_running_loop().create_task(self._tell(count))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, count: Count) -> None:
        if count.then is not Then.REPORT:
            await self._brakes.stop(count, datetime.now(UTC))
        await self._record_limit(count)

    async def _record_limit(self, count: Count) -> None:
        event = velocity_event(count)
        await self._writer.write(Write(lambda _final: event))


def _write(event: Event, found: Sequence[Found], counts: Sequence[Count], *, again: bool) -> Write:
    leases = [each.lease for each in found if each.lease is not None]
    spent = [] if again else [each.spent for each in found if each.spent is not None]
    return Write(lambda _final: event, used_leases=leases, spent=spent, counts=counts)
