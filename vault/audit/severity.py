"""How much attention an event asks for, in the words that collectors share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

_HIGH = ("break_glass", "audit.prune", "keys.compromise", "keys.destroy", "velocity")


class Severity(StrEnum):
    INFORMATIONAL = "informational"
    MEDIUM = "medium"
    HIGH = "high"


def severity_of(event: Mapping[str, object]) -> Severity:
    """Denials are of medium severity; what weakens or bypasses the vault, and what limits stop, of high."""
    if str(event.get("action")).startswith(_HIGH):
        return Severity.HIGH
    return Severity.INFORMATIONAL if event.get("outcome") == "permitted" else Severity.MEDIUM
