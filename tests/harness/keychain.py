"""Cards in a vault whose keys are changed, and what there is to see of that."""

from __future__ import annotations

import json

from tests.harness.cards import cards
from vault.card_tokens import CardShape
from vault.exposure import expose
from vault.kinds import PAN, luhn_valid
from vault.policy import Permit, Principal
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive

NUMBERS = cards()
LATE = next(number for n in range(10**6) if luhn_valid(number := f"4929{n:012}") and number not in NUMBERS)
SHAPE = CardShape(16, True, True, False)
THEIRS = Permit(Principal("foreign", "other"), "reveal", "gateway", "api.example")


def pans(shape: CardShape | None = None) -> list[NewValue]:
    return [NewValue(PAN, Sensitive(number), "$", None, shape) for number in NUMBERS]


async def revealed(vault, permit, context, tokens) -> list[str]:
    references = [Reference(PAN, each, "$") for each in tokens]
    return [expose(each.value) for each in await vault.reveal(references, permit, context)]


async def keys(owner, purpose: str, tenant: str = "default") -> dict:
    rows = await owner.fetch("SELECT id, state FROM data_keys WHERE purpose = $1 AND tenant = $2", purpose, tenant)
    return {str(row["id"]): row["state"] for row in rows}


async def actions(owner) -> list[str]:
    rows = await owner.fetch("SELECT body FROM audit_events ORDER BY at, chain, seq")
    return [event["action"] for row in rows if (event := json.loads(row["body"]))["action"].startswith("keys.")]
