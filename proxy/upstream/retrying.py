"""Whether an attempt is followed by another one: only where that is safe, in time, and within the budget."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import structlog

from proxy.edge.upstream_metrics import UpstreamMetrics
from proxy.errors import Reached, UpstreamError
from proxy.upstream.backoff import full_jitter, retry_after
from proxy.upstream.errors import (
    UpstreamBusy,
    UpstreamCertificateInvalid,
    UpstreamCircuitOpen,
    UpstreamDisconnected,
    UpstreamWholeTimeout,
)
from proxy.upstream.flight import GatewayAnswer
from proxy.upstream.target import Target

# RFC 9110, section 9.2.2.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# Answers that ask for another attempt. Of the first two it is known when.
_BUSY = 429
_WITH_TIME = frozenset({_BUSY, 503})
REPEATED = _WITH_TIME | {502, 504}
# Another attempt would fail like this one, or do harm.
_FINAL = (UpstreamCertificateInvalid, UpstreamWholeTimeout, UpstreamCircuitOpen, UpstreamBusy)
_ORDER: dict[Reached, int] = {"no": 0, "maybe": 1, "yes": 2}

log = structlog.get_logger()


class Retrying:
    """The attempts at one request. `safe`: the request may be repeated even if the upstream has got it.

    `began`, `ends`: when the loop's clock said that it began, and when that its time is up.
    """

    def __init__(
        self, target: Target, metrics: UpstreamMetrics | None, *, safe: bool, began: float, ends: float
    ) -> None:
        self._route = target.route.name
        self._settings = target.settings.retries
        self._budget = target.upstream.budget
        self._metrics = metrics
        self._safe = safe
        self._attempts = 1
        self._deadline = min(began + self._settings.deadline_seconds, ends)
        self._worst: UpstreamError | None = None
        self.in_doubt = False
        """Whether an attempt that was followed by another one may have taken effect."""

    def after_error(self, error: UpstreamError, *, taken: bool) -> float | None:
        """Return the seconds until the next attempt; None if there is none. `taken`: of a body that streams."""
        worst = self._worst
        if worst is None or _ORDER[error.reached] >= _ORDER[worst.reached]:
            self._worst = error
        elif error.reached != "no":
            error.reached = worst.reached
            self._worst = error
        if isinstance(error, _FINAL) or taken or not (error.reached == "no" or self._safe):
            return None
        self.in_doubt |= error.reached != "no"
        return self._wait(error.code, None)

    def after_answer(self, answer: GatewayAnswer, *, taken: bool) -> float | None:
        """Return the seconds until the next attempt; None if the answer is to be passed on."""
        if answer.status not in REPEATED or taken or not self._safe:
            return None
        asked = answer.headers.get("Retry-After") if answer.status in _WITH_TIME else None
        wait = self._wait(str(answer.status), retry_after(asked, datetime.now(UTC)) if asked else None)
        if wait is not None:
            self.in_doubt |= answer.status != _BUSY
            self._worst = UpstreamDisconnected(reached="yes", route=self._route)
        return wait

    def worst(self) -> UpstreamError | None:
        """Return the error that tells the truth about all attempts together; None if none has failed."""
        return self._worst

    def reached_before(self) -> UpstreamError | None:
        """Return the error of earlier attempts if one of them may have reached the upstream."""
        return self._worst if self._worst is not None and self._worst.reached != "no" else None

    def _wait(self, code: str, asked: float | None) -> float | None:
        settings = self._settings
        if self._attempts >= settings.attempts:
            return None
        wait = asked
        if wait is None:
            chance = random.random()  # noqa: S311  # spreads load, keeps no secret
            wait = full_jitter(self._attempts, settings.base_seconds, settings.max_seconds, chance)
        if asyncio.get_running_loop().time() + wait >= self._deadline:
            return None
        if not self._budget.spend():
            if self._metrics is not None:
                self._metrics.refused.labels(self._route).inc()
            return None
        self._attempts += 1
        if self._metrics is not None:
            self._metrics.retries.labels(self._route).inc()
        log.info("upstream_retry", route=self._route, code=code, attempt=self._attempts, seconds=round(wait, 3))
        return wait
