"""From the places of a plan to what the vault is asked to tokenize or to reveal."""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxy.rewrite.errors import CustomerInvalid
from proxy.rewrite.fields import CREDENTIAL, CUSTOMER, KEY_PREFIX
from proxy.rewrite.plan import Match, Plan
from vault.errors import NotAToken, ValueRejected
from vault.exposure import expose
from vault.kinds import CVC, KINDS, Storage
from vault.requests import NewValue, Reference, Revealed
from vault.sensitive import Sensitive
from vault.tokens import recognise

_DIGITS = re.compile(r"[0-9]{12,19}", re.ASCII).fullmatch
_PLACEHOLDER = re.compile(r"[0-9]{3,4}", re.ASCII).fullmatch
# No spaces: what looks like a card number is found by the leak guard, and names in reports stay on their line.
_CUSTOMER = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII).fullmatch
_GAPS = str.maketrans("", "", " -")


def new_values(plan: Plan) -> list[NewValue]:
    """Return the values of a plan's matches, to be tokenized."""
    return [
        NewValue(
            KINDS[match.field.kind], match.value, str(match.field.at), match.of, match.field.shape, match.field.limits
        )
        for match in plan.matches
    ]


def customer_in(plan: Plan) -> tuple[str | None, Plan]:
    """Return the application's name of the customer, if it stands in the message, and the plan without it.

    Raises CustomerInvalid for what cannot be a name, or stands there twice.
    """
    found = [match for match in plan.matches if match.field.kind == CUSTOMER]
    if not found:
        return None, plan
    name = expose(found[0].value)
    if len({expose(match.value) for match in found}) > 1 or not _CUSTOMER(name):
        raise CustomerInvalid(selector=str(found[0].field.at))
    return name, plan.only(lambda match: match.field.kind != CUSTOMER)


def swapped(plan: Plan) -> Plan:
    """Return the plan with what has to be replaced: tokens, and Panless keys where a gateway's credential stands.

    An application may send values of its own where it need not have tokens: a name, an expiry date, a bank account.
    """
    return plan.only(is_swapped)


def is_swapped(match: Match) -> bool:
    """Tell whether something has to take the value's place on the way to a gateway."""
    if match.field.kind == CREDENTIAL:
        return expose(match.value).startswith(KEY_PREFIX)
    kind = KINDS[match.field.kind]
    return kind.card or kind is CVC or recognise(expose(match.value)) is not None


def key_in(plan: Plan) -> str:
    """Return what stands where the gateway's credential does; empty if nothing does."""
    return next((expose(match.value) for match in plan.matches if match.field.kind == CREDENTIAL), "")


def references(plan: Plan) -> list[Reference]:
    """Return one reference per match that is no credential; raises NotAToken for what cannot be a token.

    Where a verification code belongs to a card, digits are a placeholder: the code is found through the card's token.
    """
    return [_reference(match) for match in plan.only(lambda match: match.field.kind != CREDENTIAL).matches]


def masked(match: Match) -> str:
    """Return what may be shown of a match: a token, a card's last four digits, or how long the value is."""
    text = expose(match.value)
    if recognise(text) is not None:
        return text
    kind = KINDS[match.field.kind]
    try:
        about = kind.describe(kind.normalise(match.value, ""))
    except ValueRejected:
        return f"{len(text)} characters, no valid {kind.name}"
    return f"ends in {about.last4}" if about.last4 else f"{len(text)} characters"


def filled(plan: Plan, revealed: Sequence[Revealed], secret: str | None) -> list[str | Sensitive]:
    """Return what takes the place of each match: the revealed values, in order, and the gateway's secret."""
    values = iter(revealed)
    return [(secret or "") if match.field.kind == CREDENTIAL else next(values).value for match in plan.matches]


def _reference(match: Match) -> Reference:
    kind = KINDS[match.field.kind]
    at = str(match.field.at)
    text = expose(match.value)
    token = recognise(text)
    if token is not None:
        return Reference(kind, token, at, match.of)
    if kind.card and _DIGITS(digits := text.translate(_GAPS)):
        return Reference(kind, None, at, match.of, Sensitive(digits))
    if kind.storage is Storage.LEASE and match.of is not None and _PLACEHOLDER(text):
        return Reference(kind, None, at, match.of)
    raise NotAToken(at=at)
