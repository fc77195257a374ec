"""GET /audit/events on the admin listener: the audit log for people of role auditor, as JSON lines.

Who signs in, who is refused and what is read are events themselves. The rows are read as the auditor's database role.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from proxy.edge.exchange import Exchange
from proxy.edge.problem import REQUEST_ID_HEADER
from proxy.errors import FilterInvalid
from proxy.serving.answer import Answer, answer_of
from proxy.serving.request import Request
from vault.operators import OperatorRole, Operators
from vault.upkeep.history import Filter, history
from vault.upkeep.startup import Database

ACTION = "audit.read"
MOST_EVENTS = 10_000
_TEXTS = ("app", "token", "route", "outcome", "action", "request_id")
_TIMES = ("since", "until")
_LIMIT = re.compile(r"[0-9]{1,20}", re.ASCII)


class AuditReading:
    """Answers from the audit log of one database."""

    def __init__(self, operators: Operators, database: Database) -> None:
        self._operators = operators
        self._database = database

    async def answer(self, request: Request, exchange: Exchange) -> Answer:
        """Return the matching events, oldest first; raises Denied, FilterInvalid or StoreError."""
        context = exchange.context
        certificate = exchange.certificate if "Authorization" not in request.headers else None
        operator = await self._operators.sign_in(_bearer(request), context, certificate)
        await self._operators.check(operator, OperatorRole.AUDITOR, action=ACTION, context=context)
        wanted = read_filter(request.query)
        await self._operators.record(operator, ACTION, context)
        lines = [json.dumps(event) + "\n" for event in await history(self._database, wanted)]
        headers = {REQUEST_ID_HEADER: exchange.request_id, "Cache-Control": "no-store"}
        return answer_of("".join(lines), "application/x-ndjson", headers)


def read_filter(query: Mapping[str, str]) -> Filter:
    """Return what a query asks for; raises FilterInvalid, which names the filter and no value."""
    given: dict[str, Any] = {}
    for name, value in query.items():
        if name in given:
            raise FilterInvalid(name=name)
        try:
            given[name] = _value(name, value)
        except (ValueError, OverflowError):
            raise FilterInvalid(name=name if name in (*_TEXTS, *_TIMES, "limit") else "(unknown)") from None
    return Filter(**given)


def _value(name: str, value: str) -> str | int | datetime:
    if name in _TEXTS and "\0" not in value:
        return value
    if name == "limit" and _LIMIT.fullmatch(value) and 1 <= int(value) <= MOST_EVENTS:
        return int(value)
    if name in _TIMES:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo is not None else time.replace(tzinfo=UTC)
    raise ValueError


def _bearer(request: Request) -> str:
    given = request.headers.getall("Authorization", [])
    scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return key.strip() if scheme.lower() == "bearer" else ""
