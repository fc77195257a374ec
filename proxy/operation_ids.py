"""How operations are named, and where an application asks for one. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from uuid import UUID

from multidict import CIMultiDict

from proxy.edge.relay import Answer
from vault.tokens import read_type_id, type_id

PREFIX = "op"
PATH = "/operations/"
_PATH = re.compile(rf"{PATH}({PREFIX}_[0-9a-z]{{26}})(/answer)?", re.ASCII)


def operation_id(name: str) -> UUID | None:
    """Return the id in `op_...`; None if it is not one."""
    return read_type_id(PREFIX, name)


@dataclass(frozen=True, slots=True)
class Asked:
    """The operation that a request is about, and whether its `answer` is meant."""

    name: str
    answer: bool


def asked_for(target: str) -> Asked | None:
    """Return what a request target asks for; None: it has another path."""
    match = _PATH.fullmatch(target)
    return Asked(match[1], match[2] is not None) if match else None


def accepted(operation: UUID, *, replayed: bool = False) -> Answer:
    """Return the 202 for an operation (RFC 9110, section 15.3.3; RFC 7240, section 3)."""
    name = type_id(PREFIX, operation)
    body = (json.dumps({"id": name, "status": "pending"}) + "\n").encode()
    headers = CIMultiDict(
        {
            "Location": PATH + name,
            "Preference-Applied": "respond-async",
            "Retry-After": "1",
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "Content-Length": str(len(body)),
        }
    )
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return Answer(202, None, headers, body)
