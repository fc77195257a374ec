"""From the places of a plan to what the vault is asked to tokenize or to reveal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from proxy.rewrite.errors import BodyRejected
from proxy.rewrite.fields import CREDENTIAL, KEY_PREFIX, STAND_IN
from proxy.rewrite.message import Message
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
is_name = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII).fullmatch
_GAPS = str.maketrans("", "", " -")


def new_values(plan: Plan) -> list[NewValue]:
    """Return the values of a plan's matches, to be tokenized."""
    return [
        NewValue(
            KINDS[match.field.kind], match.value, str(match.field.at), match.of, match.field.shape, match.field.limits
        )
        for match in plan.matches
    ]


def names_in(plan: Plan, refusals: Mapping[str, type[BodyRejected]]) -> tuple[dict[str, str], Plan]:
    """Return the names that stand in a message, by their kinds, and the plan without them.

    `refusals`: the kinds of names, and what is raised for one that cannot be a name or that stands there twice.
    """
    names: dict[str, str] = {}
    for match in plan.matches:
        if (kind := match.field.kind) not in refusals:
            continue
        name = expose(match.value)
        if names.setdefault(kind, name) != name or not is_name(name):
            raise refusals[kind](selector=str(match.field.at))
    return names, plan.only(lambda match: match.field.kind not in refusals) if names else plan


def canonical(plan: Plan, resolved: Sequence[Reference]) -> Message:
    """Return the message by which a request is known again: with ids of tokens, and without keys and codes."""
    names = iter([_id(each, resolved) for each in resolved])
    return plan.fill(["" if match.field.kind == CREDENTIAL else next(names) for match in plan.matches])


def _id(reference: Reference, resolved: Sequence[Reference]) -> str:
    if reference.token is not None:
        return str(reference.token)
    return f"code of {resolved[reference.of].token}" if reference.of is not None else "code"


def without_keys(plan: Plan) -> Message:
    """Return the message to be kept: with tokens as they came, and a stand-in where a Panless key stood."""
    return plan.only(lambda match: match.field.kind == CREDENTIAL).fill(
        [STAND_IN for match in plan.matches if match.field.kind == CREDENTIAL]
    )


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
    matches = plan.matches
    if [match for match in matches if match.field.kind == CREDENTIAL]:
        matches = plan.only(lambda match: match.field.kind != CREDENTIAL).matches
    return [_reference(match) for match in matches]


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
