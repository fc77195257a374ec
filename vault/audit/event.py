"""Audit events and their canonical bytes.

An event answers PCI DSS v4.0.1 requirement 10.2.2: who (app), what (action), when (at), success or failure (outcome,
code), where from (origin, route), what was affected (tokens, destination). It holds tokens and names, never values.

Canonical bytes are JSON as RFC 8785 orders and spaces it; with only ASCII strings, integers, lists and objects in
it, that is sorted names and no white space.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

FORMAT = 1

_encoded = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


class Outcome(StrEnum):
    """Permitted and recorded before it was done; denied by a rule; failed for another reason."""

    PERMITTED = "permitted"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `at` is an aware UTC time; `tokens` are in TypeID form.

    `policy` is the version of the policy that was in force, `rule` the one of its rules that decided; `certificate` is
    the SHA-256 of the upstream's certificate, in hex; `reason` is what an `operator` gave for it; `begins` is
    size and root (hex) of the checkpoint that a pruned log begins at.
    """

    at: datetime
    action: str
    outcome: Outcome
    code: str | None = None
    tenant: str | None = None
    app: str | None = None
    route: str | None = None
    destination: str | None = None
    origin: str | None = None
    request_id: str | None = None
    tokens: tuple[str, ...] = ()
    operator: str | None = None
    reason: str | None = None
    policy: str | None = None
    rule: str | None = None
    certificate: str | None = None
    begins: str | None = None

    def fields(self) -> dict[str, object]:
        """Return the members that canonical bytes are made of; absent ones are left out."""
        members: dict[str, object] = {
            "v": FORMAT,
            "at": timestamp(self.at),
            "action": self.action,
            "outcome": str(self.outcome),
            "code": self.code,
            "tenant": self.tenant,
            "app": self.app,
            "route": self.route,
            "destination": self.destination,
            "origin": self.origin,
            "request_id": self.request_id,
            "tokens": list(self.tokens) or None,
            "operator": self.operator,
            "reason": self.reason,
            "policy": self.policy,
            "rule": self.rule,
            "certificate": self.certificate,
            "begins": self.begins,
        }
        return {name: member for name, member in members.items() if member is not None}


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def canonical(members: dict[str, object]) -> bytes:
    """Return the one byte string that stands for these members."""
    return _encoded(members).encode("ascii")
