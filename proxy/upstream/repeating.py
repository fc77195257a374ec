"""Runs the attempts at one request: each in a slot of its upstream, each under time-outs, until one is final."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from proxy.edge.upstream_metrics import UpstreamMetrics
from proxy.errors import RequestError, UpstreamError
from proxy.routes import Route
from proxy.upstream.answer_reader import AnswerMalformed
from proxy.upstream.attempt import Attempt, Late, Phase
from proxy.upstream.errors import UpstreamCertificateInvalid, UpstreamWholeTimeout
from proxy.upstream.failures import translated
from proxy.upstream.flight import GatewayAnswer
from proxy.upstream.request_head import HeadInvalid
from proxy.upstream.retrying import Retrying
from proxy.upstream.settings import UpstreamSettings
from proxy.upstream.state import Slot, Upstream
from vault.errors import PanlessError

Given = TypeVar("Given")
# Makes one attempt. Who returns something has taken the slot over, and leaves it.
Once = Callable[[Attempt, Slot], Awaitable[Given]]


class Repeating:
    """The attempts of one request on a route."""

    def __init__(
        self, route: Route, settings: UpstreamSettings, upstream: Upstream, metrics: UpstreamMetrics | None
    ) -> None:
        self._route = route
        self._settings = settings
        self._upstream = upstream
        self._metrics = metrics

    async def run(self, once: Once[Given], *, safe: bool) -> Given:
        """Return what the last attempt gave; raises an UpstreamError that is true of all of them together."""
        name, timeouts = self._route.name, self._settings.timeouts
        ends = asyncio.get_running_loop().time() + timeouts.whole
        retrying = Retrying(name, self._settings.retries, self._upstream.budget, self._metrics, safe=safe, ends=ends)
        while True:
            attempt = Attempt(name, timeouts, ends)
            try:
                given = await self._attempt(once, attempt)
            except UpstreamError as error:
                self._count(error.code)
                wait = retrying.after_error(error, taken=attempt.taken)
                if wait is None:
                    raise (retrying.worst() or error) from None
            except PanlessError as error:
                # It tells nothing of earlier attempts.
                raise (retrying.reached_before() or error) from None
            else:
                if not isinstance(given, GatewayAnswer):
                    return given
                self._count(f"{given.status // 100}xx")
                wait = retrying.after_answer(given, taken=attempt.taken)
                if wait is None:
                    given.in_doubt = retrying.in_doubt
                    return given
                given.release()
            await asyncio.sleep(wait)

    async def _attempt(self, once: Once[Given], attempt: Attempt) -> Given:
        slot = self._upstream.enter(self._route, self._settings)
        try:
            try:
                return await once(attempt, slot)
            except (Late, AnswerMalformed, OSError, HeadInvalid) as error:
                raise self._failure(error, attempt, slot) from None
        except BaseException:
            slot.leave()
            raise

    def _failure(self, error: Exception, attempt: Attempt, slot: Slot) -> RequestError:
        """Return what to raise; if it is the upstream's failure, its circuit is told."""
        failure: RequestError = translated(error, self._route.name, attempt.reached)
        if isinstance(error, Late):
            failure = attempt.timed_out()
        if _is_of_upstream(failure, attempt):
            slot.failed(failure.code)
        return failure

    def _count(self, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.attempts_of(self._route.name, outcome).inc()


def _is_of_upstream(failure: RequestError, attempt: Attempt) -> bool:
    """Tell whether a failure is the upstream's. A route with another `ca`, or a client that is slow, says nothing."""
    if isinstance(failure, UpstreamWholeTimeout):
        return attempt.phase not in (Phase.COLLECTING, Phase.CONNECTED)
    return isinstance(failure, UpstreamError) and not isinstance(failure, UpstreamCertificateInvalid)
