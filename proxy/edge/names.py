"""Names that stand in requests: of customers, of requests that may come again, of whose turn it is. No secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping

from multidict import CIMultiDict

from proxy.guard.masking import mask
from proxy.rewrite.errors import CustomerInvalid, IdempotencyInvalid, SequenceInvalid
from proxy.rewrite.fields import CUSTOMER, IDEMPOTENCY, KEY_PREFIXES, SEQUENCE
from proxy.rewrite.plan import Plan
from proxy.rewrite.reference import is_name, names_in

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_REFUSALS = {CUSTOMER: CustomerInvalid, IDEMPOTENCY: IdempotencyInvalid, SEQUENCE: SequenceInvalid}


def take_names(plan: Plan) -> tuple[Mapping[str, str], Plan]:
    """Return the names in a message by their kinds, and the plan without them.

    Raises CustomerInvalid, IdempotencyInvalid or SequenceInvalid, also for what looks like a card number or a key.
    """
    names, rest = names_in(plan, _REFUSALS)
    for kind, name in names.items():
        if not _harmless(name):
            raise _REFUSALS[kind](selector=kind)
    return names, rest


def key_in_header(headers: CIMultiDict[str], header: str) -> str | None:
    """Return the idempotency key in a header, as it stands there; raises IdempotencyInvalid."""
    given = headers.getall(header, [])
    if not given:
        return None
    if len(given) > 1 or not is_name(given[0]) or not _harmless(given[0]):
        raise IdempotencyInvalid(selector=f"header:{header}")
    return given[0]


def _harmless(name: str) -> bool:
    # One UUID in a hundred or so has digits that could be a card's.
    rest = _UUID.sub("-", name)
    return mask(rest) == rest and not any(prefix in name for prefix in KEY_PREFIXES)
