"""How operations are named, where an application asks for one, and what it is told of one. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from multidict import CIMultiDict

from proxy.serving.answer import Answer
from proxy.state.operations import Operation
from vault.tokens import read_type_id, type_id

PREFIX = "op"
PATH = "/operations/"
_PATH = re.compile(rf"{PATH}({PREFIX}_[0-9A-Za-z]{{0,64}})(/answer)?", re.ASCII)


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
    body = (json.dumps({"id": name}) + "\n").encode()
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


def about(operation: Operation) -> dict[str, object]:
    """Return what an application may know of an operation; times are RFC 3339, UTC."""
    name = type_id(PREFIX, operation.id)
    return {
        "id": name,
        "status": operation.state,
        "route": operation.route,
        "idempotency_key": operation.app_key,
        "attempts": operation.attempts,
        "code": operation.code,
        "answer": None if operation.answer is None else {"status": operation.status, "href": f"{PATH}{name}/answer"},
        "created_at": _shown(operation.created_at),
        "updated_at": _shown(operation.updated_at),
        "ended_at": _shown(operation.ended_at),
        "request_id": operation.request_id,
    }


def rfc3339(at: datetime) -> str:
    """Return a time in UTC, to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
