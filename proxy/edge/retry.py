"""Whether a request that was refused may be sent again. Pure."""

from __future__ import annotations

from enum import Enum

from proxy.errors import UpstreamError
from vault.errors import PanlessError

_NEVER = {"operation_in_doubt", "operation_under_way", "outcome_settled", "outcome_unknown"}
# Whatever else went wrong may have done so after the upstream got it.
_IN_DOUBT = {"internal_error"}
_PASSES = {"request_running"}
_PASSING = {408, 429, 503}


class Retry(Enum):
    """`SAFE`: as it is, for nothing was sent. `WITH_KEY`: it may have taken effect, so only with its idempotency key.

    `CORRECTED`: nothing was sent, and nothing would be if it came again as it is. `NEVER`: it would not be sent,
    or nothing would keep it from taking effect twice.
    """

    SAFE = "safe"
    WITH_KEY = "with_idempotency_key"
    CORRECTED = "after_correction"
    NEVER = "never"


def retry(error: PanlessError, status: int) -> Retry:
    """Judge an error that is answered with a status."""
    if isinstance(error, UpstreamError):
        if error.reached == "no":
            return Retry.SAFE
        return Retry.WITH_KEY if error.protected else Retry.NEVER
    if error.code in _IN_DOUBT:
        return Retry.WITH_KEY
    if error.code in _NEVER:
        return Retry.NEVER
    return Retry.SAFE if status in _PASSING or error.code in _PASSES else Retry.CORRECTED
