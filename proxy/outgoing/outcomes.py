"""What a gateway's answer, or an error on the way there, says about a request: did it take effect? Pure."""

from __future__ import annotations

from enum import Enum

from proxy.errors import UpstreamError
from proxy.state.errors import LeaseLost
from vault.errors import KeyUnavailable, PanlessError, StoreError, VelocityExceeded

_REFUSED_FOR_NOW = {408, 425, 429}
CONFLICT = 409
# Refused before a gateway has looked at what it did for the key.
_AT_THE_DOOR = {401, 403, 404, 405, 407}
_FIRST_FINAL = 200  # below are answers that announce another one, which never came


class Effect(Enum):
    """`NONE`: the gateway has not taken it, and may take the same one later. `UNSURE`: it may have taken it."""

    DEFINITE = "definite"
    NONE = "none"
    UNSURE = "unsure"


def of_answer(status: int, *, protected: bool, in_doubt: bool = False, before: bool = False) -> Effect:
    """Judge an answer by its status. `protected`: the gateway honours the idempotency key that it got.

    Such a gateway says 409 while it still works on an earlier request with the key. `in_doubt`: an attempt before the
    one that it answers may have taken effect; `before`: one of an earlier sending.
    """
    if status in _REFUSED_FOR_NOW:
        return Effect.UNSURE if in_doubt else Effect.NONE
    if status in _AT_THE_DOOR and (in_doubt or before):
        return Effect.UNSURE
    if status < _FIRST_FINAL or status >= 500 or (status == CONFLICT and protected):
        return Effect.UNSURE
    return Effect.DEFINITE


def of_error(error: PanlessError, *, answered: bool) -> Effect:
    """Judge an error; `answered`: the gateway had answered before it."""
    if answered:
        return Effect.UNSURE
    if isinstance(error, UpstreamError):
        return Effect.NONE if error.reached == "no" else Effect.UNSURE
    return Effect.NONE


def passes(error: PanlessError) -> bool:
    """Tell whether an error that kept a request from being sent goes away by itself."""
    return isinstance(error, UpstreamError | StoreError | KeyUnavailable | VelocityExceeded | LeaseLost)
