"""From the places of a plan to what the vault is asked to reveal."""

from __future__ import annotations

from proxy.rewrite.plan import Match, Plan
from vault.errors import NotAToken
from vault.exposure import expose
from vault.kinds import KINDS, Storage
from vault.requests import Reference
from vault.tokens import recognise


def references(plan: Plan) -> list[Reference]:
    """Return one reference per match; raises NotAToken where an application sent something else.

    Where a verification code belongs to a card, digits are a placeholder: the code is found through the card's token.
    """
    return [_reference(match) for match in plan.matches]


def _reference(match: Match) -> Reference:
    kind = KINDS[match.field.kind]
    at = str(match.field.at)
    text = expose(match.value)
    token = recognise(text)
    placeholder = kind.storage is Storage.LEASE and text.isascii() and text.isdigit() and len(text) in (3, 4)
    if token is None and not (placeholder and match.of is not None):
        raise NotAToken(at=at)
    return Reference(kind, token, at, match.of)
