"""One request and what is known about it on its way: its id, its route, its application."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from aiohttp import web

from proxy.edge.problem import REQUEST_ID_HEADER
from proxy.guard import looks_like_pan
from vault.requests import Context
from vault.tokens import type_id, uuid7

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
_LONG_NUMBER = re.compile(r"[0-9]{12}", re.ASCII)


@dataclass(slots=True)
class Exchange:
    """Filled in as the request goes on, read when it is logged."""

    listener: str
    request_id: str
    origin: str | None
    started: float = field(default_factory=time.perf_counter)
    route: str = "-"
    destination: str = "-"
    app: str | None = None

    @classmethod
    def begin(cls, listener: str, request: web.BaseRequest) -> Exchange:
        return cls(listener, _request_id(request), request.remote)

    @property
    def context(self) -> Context:
        """What the vault records of this request."""
        return Context(self.request_id, self.route, self.destination, self.origin)


def new_request_id() -> str:
    return type_id("req", uuid7())


def _request_id(request: web.BaseRequest) -> str:
    given = request.headers.get(REQUEST_ID_HEADER, "")
    # It goes into logs and audit events: no number that could be one of a card, right or mistyped, gets there.
    if _REQUEST_ID.fullmatch(given) and not _LONG_NUMBER.search(given) and not looks_like_pan(given):
        return given
    return new_request_id()
