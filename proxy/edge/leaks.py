"""The leak guard at work: refuses, tokenizes or reports what looks like a card number on its way to an application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from enum import Enum
from functools import partial

import structlog

from proxy.edge.aside import aside
from proxy.edge.encodings import READABLE, window_bits
from proxy.edge.exchange import Exchange
from proxy.edge.metrics import Metrics
from proxy.errors import RequestError
from proxy.guard.leaks import leaks, part_of
from proxy.guard.stream import InflatingSearch, NotInflatable, StreamSearch
from proxy.rewrite.plan import Plan
from vault.service import Vault

log = structlog.get_logger()


class Mode(Enum):
    """What to do about a leak."""

    REFUSE = "refuse"
    TOKENIZE = "tokenize"
    REPORT = "report"


class LeakGuard:
    """Judges messages and streams.

    `refusal` is the error for what is refused, and takes `route` and `part`; `unsearchable` is that for what cannot be
    searched, and takes `route`.
    """

    def __init__(
        self, vault: Vault, metrics: Metrics, refusal: type[RequestError], unsearchable: type[RequestError]
    ) -> None:
        self._vault = vault
        self._metrics = metrics
        self._refusal = refusal
        self._unsearchable = unsearchable

    async def judge(self, plan: Plan, mode: Mode, exchange: Exchange, known: Collection[str] = ()) -> Plan:
        """Return the plan, with the leaks among its matches if they are to be tokenized.

        `known` are card-shaped tokens that may stand there. Raises the refusal, after it was recorded, or
        TooManyNumbers.
        """
        plan, found = await aside(len(plan.message.body), leaks, plan, known)
        if not found:
            return plan
        await self._tell(mode, exchange, [part_of(plan, match) for match in found])
        if mode is Mode.REFUSE:
            raise self._refusal(route=exchange.route, part=part_of(plan, found[0]))
        return plan.adding(found) if mode is Mode.TOKENIZE else plan

    async def stream(
        self, pieces: AsyncIterator[bytes], name: str, mode: Mode, exchange: Exchange
    ) -> AsyncIterator[bytes]:
        """Yield the pieces of a body in content coding `name`, each once it was searched.

        Raises the refusal, after it was recorded, or BodyUnsearchable.
        """
        told = False
        search: StreamSearch | InflatingSearch = InflatingSearch(partial(window_bits, name)) if name else StreamSearch()
        async for piece in pieces:
            for passed, found in self._looked(search, piece, exchange):
                told = told or await self._found(mode, exchange, found=found)
                if passed:
                    yield passed
                else:
                    await asyncio.sleep(0)  # others' turn: a small piece may inflate to a thousand times as much
        for passed, found in self._looked(search, None, exchange):
            told or await self._found(mode, exchange, found=found)
            if passed:
                yield passed

    def can_search(self, name: str, mode: Mode, exchange: Exchange) -> bool:
        """Tell whether a body in a content coding can be searched; reporting lets pass what cannot be."""
        if name and name not in READABLE and mode is not Mode.REPORT:
            raise self._unsearchable(route=exchange.route)
        return not name or name in READABLE

    def _looked(
        self, search: StreamSearch | InflatingSearch, piece: bytes | None, exchange: Exchange
    ) -> Iterator[tuple[bytes, bool]]:
        try:
            if piece is None:
                yield search.end()
            else:
                yield from search.steps(piece)
        except NotInflatable:
            raise self._unsearchable(route=exchange.route) from None

    async def _found(self, mode: Mode, exchange: Exchange, *, found: bool) -> bool:
        if found:
            await self._tell(mode, exchange, ["body"])
        if found and mode is not Mode.REPORT:
            raise self._refusal(route=exchange.route, part="body")
        return found

    async def _tell(self, mode: Mode, exchange: Exchange, parts: Sequence[str]) -> None:
        self._metrics.leaks.labels(exchange.route, mode.value).inc(len(parts))
        log.warning(
            "card_number_found",
            route=exchange.route,
            guard=mode.value,
            parts=sorted(set(parts)),
            request_id=exchange.request_id,
        )
        if mode is not Mode.TOKENIZE:  # tokenizing is recorded as that
            code = self._refusal.code if mode is Mode.REFUSE else None
            await self._vault.record("guard", exchange.context, app=exchange.app, refusal=code)
