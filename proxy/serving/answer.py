"""Answers, and their heads. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from multidict import CIMultiDict

from proxy.wire.heads import BODILESS, NO_CONTENT, head

PHRASES = {status.value: status.phrase for status in HTTPStatus}
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})


@dataclass(slots=True)
class Answer:
    """What goes back to the client. `reason` None: the usual phrase.

    `code`: of the error that it tells. `closes`: the connection ends with it.
    """

    status: int
    reason: str | None
    headers: CIMultiDict[str]
    body: bytes | AsyncIterator[bytes] = field(repr=False)
    code: str = ""
    closes: bool = False


def answer_of(
    body: bytes | str, content_type: str, headers: Mapping[str, str] | None = None, *, status: int = 200
) -> Answer:
    """Return an answer of Panless itself."""
    named = CIMultiDict(headers or {})
    named.setdefault("Content-Type", content_type)
    named.setdefault("Server", "panless")
    return Answer(status, None, named, body.encode() if isinstance(body, str) else body)


def json_answer(document: object, *, status: int = 200) -> Answer:
    """Return a JSON document."""
    return answer_of(json.dumps(document), "application/json; charset=utf-8", status=status)


def has_body(method: str, status: int) -> bool:
    """Tell whether an answer has a body, be it empty (RFC 9110, section 6.4.1)."""
    return method != "HEAD" and status not in BODILESS


def answer_head(answer: Answer, framing: str, connection: str) -> bytes:
    """Return the head with one framing, a header line or nothing, and with one Connection or none; raises HeadInvalid.

    Without any framing the length that the answer was given stays: of what a HEAD asks for, or a 304 stands for.
    """
    reason = PHRASES.get(answer.status, "") if answer.reason is None else answer.reason
    lines = [f"HTTP/1.1 {answer.status} {reason}"]
    dated = False
    for name, value in answer.headers.items():
        lower = name.lower()
        if lower in _FRAMING and (framing or lower != "content-length" or answer.status == NO_CONTENT):
            continue
        dated = dated or lower == "date"
        lines.append(f"{name}: {value}")
    if not dated:
        lines.append(f"Date: {_date(int(time.time()))}")
    if connection:
        lines.append(f"Connection: {connection}")
    if framing:
        lines.append(framing)
    return head(lines)


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
