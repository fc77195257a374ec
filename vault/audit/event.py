"""Audit events and their canonical bytes.

An event answers PCI DSS v4.0.1 requirement 10.2.2: who (app), what (action), when (at), success or failure (outcome,
code), where from (origin, route), what was affected (tokens, destination). It holds tokens and names, never values.

Canonical bytes are JSON as RFC 8785 orders and spaces it; with only ASCII strings, integers, lists and objects in
it, that is sorted names and no white space.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted

from vault.frozen import frozen

FORMAT = 1

_encoded = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


class Outcome(StrEnum):
    """Permitted and recorded before it was done; denied by a rule; failed for another reason."""

    PERMITTED = "permitted"
    DENIED = "denied"
    FAILED = "failed"


@frozen(kw_only=True)
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

    def body(self, chain: str, seq: int, prev: str, continues: str | None = None) -> str:
        """Return the canonical text of the event in its place; absent members are left out.

        `continues` is canonical text already. The names are in order here, so that nothing has to be sorted.
        """
        first = _members(_FIRST, self.action, self.app)[1:]
        begins = _members(_BEGINS, self.begins, self.certificate, chain, self.code)
        following = "" if continues is None else f',"continues":{continues}'
        towards = _members(_TOWARDS, self.destination, self.operator, self.origin, self.outcome, self.policy)
        reason = "" if self.reason is None else f',"reason":{_quoted(self.reason)}'
        request = "" if self.request_id is None else f',"request_id":{_quoted(self.request_id)}'
        route, tenant = _members(_ROUTE, self.route, self.rule), _members(_TENANT, self.tenant)
        tokens = f',"tokens":[{",".join([_quoted(token) for token in self.tokens])}]' if self.tokens else ""
        return (
            f'{{{first},"at":{_quoted(timestamp(self.at))}{begins}{following}{towards},"prev":{_quoted(prev)}'
            f'{reason}{request}{route},"seq":{seq}{tenant}{tokens},"v":{FORMAT}}}'
        )


_FIRST, _BEGINS = ("action", "app"), ("begins", "certificate", "chain", "code")
_TOWARDS = ("destination", "operator", "origin", "outcome", "policy")
_ROUTE, _TENANT = ("route", "rule"), ("tenant",)


@lru_cache(maxsize=1000)
def _members(names: tuple[str, ...], *texts: str | None) -> str:
    """Return members that many events have in common: names from the configuration, addresses, codes."""
    return "".join([f',"{name}":{_quoted(text)}' for name, text in zip(names, texts, strict=True) if text is not None])


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    second = _second(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second)
    return f"{second}.{utc.microsecond:06}Z"


@lru_cache(maxsize=64)
def _second(*parts: int) -> str:
    """Return the text of a second: many events fall into the same one."""
    return "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*parts)


def canonical(members: dict[str, object]) -> bytes:
    """Return the one byte string that stands for these members."""
    return _encoded(members).encode("ascii")
