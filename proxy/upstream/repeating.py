"""Runs the attempts at one request: each in a slot of its upstream, each under time-outs, until one is final."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from proxy.edge.upstream_metrics import UpstreamMetrics
from proxy.errors import RequestError, UpstreamError
from proxy.upstream.answer_reader import AnswerMalformed
from proxy.upstream.attempt import Attempt, Late, Phase
from proxy.upstream.errors import UpstreamCertificateInvalid, UpstreamWholeTimeout
from proxy.upstream.failures import translated
from proxy.upstream.flight import GatewayAnswer
from proxy.upstream.retrying import REPEATED, Retrying
from proxy.upstream.state import Slot
from proxy.upstream.target import Target
from proxy.wire.heads import HeadInvalid
from vault.errors import PanlessError

Given = TypeVar("Given")
# Makes one attempt. Who returns something has taken the slot over, and leaves it.
Once = Callable[[Attempt, Slot], Awaitable[Given]]


async def repeat(target: Target, once: Once[Given], metrics: UpstreamMetrics | None, *, safe: bool) -> Given:
    """Return what the last attempt gave; raises an UpstreamError that is true of all of them together.

    `safe`: the request may be repeated even if the upstream has got it.
    """
    name, settings = target.route.name, target.settings
    loop = asyncio.get_running_loop()
    began = loop.time()
    ends = began + settings.timeouts.whole
    target.upstream.budget.earn(settings.retries.budget)
    retrying: Retrying | None = None  # nearly always, the first attempt is the last
    while True:
        attempt = Attempt(loop, name, settings.timeouts, ends)
        try:
            given = await _attempt(target, once, attempt)
        except UpstreamError as error:
            _count(metrics, name, error.code)
            retrying = retrying or Retrying(target, metrics, safe=safe, began=began, ends=ends)
            wait = retrying.after_error(error, taken=attempt.taken)
            if wait is None:
                raise (retrying.worst() or error) from None
        except PanlessError as error:
            # It tells nothing of earlier attempts.
            raise ((retrying.reached_before() if retrying else None) or error) from None
        else:
            if not isinstance(given, GatewayAnswer):
                return given
            _count(metrics, name, f"{given.status // 100}xx")
            if retrying is None and given.status not in REPEATED:
                return given
            retrying = retrying or Retrying(target, metrics, safe=safe, began=began, ends=ends)
            wait = retrying.after_answer(given, taken=attempt.taken)
            if wait is None:
                given.in_doubt = retrying.in_doubt
                return given
            given.release()
        await asyncio.sleep(wait)


async def _attempt(target: Target, once: Once[Given], attempt: Attempt) -> Given:
    slot = target.upstream.enter(target.route, target.settings)
    try:
        return await once(attempt, slot)
    except (Late, AnswerMalformed, OSError, HeadInvalid) as error:
        failure = _failure(target, error, attempt)
        if _is_of_upstream(failure, attempt):
            slot.failed(failure.code)  # its circuit is told
        slot.leave()
        raise failure from None
    except BaseException:
        slot.leave()
        raise


def _failure(target: Target, error: Exception, attempt: Attempt) -> RequestError:
    """Return what to raise."""
    return attempt.timed_out() if isinstance(error, Late) else translated(error, target.route.name, attempt.reached)


def _count(metrics: UpstreamMetrics | None, route: str, outcome: str) -> None:
    if metrics is not None:
        metrics.attempts.count(route, outcome)


def _is_of_upstream(failure: RequestError, attempt: Attempt) -> bool:
    """Tell whether a failure is the upstream's. A route with another `ca`, or a client that is slow, says nothing."""
    if isinstance(failure, UpstreamWholeTimeout):
        return attempt.phase not in (Phase.COLLECTING, Phase.CONNECTED)
    return isinstance(failure, UpstreamError) and not isinstance(failure, UpstreamCertificateInvalid)
