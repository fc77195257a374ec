"""One request and what is known about it on its way: its id, its route, its application."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from proxy.edge.problem import REQUEST_ID_HEADER
from proxy.rewrite.fields import KEY_PREFIXES
from proxy.serving.request import Request
from vault.requests import Context
from vault.tokens import new_type_id

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
_ID = REQUEST_ID_HEADER.lower()
_SEPARATORS = re.compile(r"[^0-9A-Za-z]")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


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
    values: int | None = None
    key: str = field(default="", repr=False)  # what the tunnel was opened with
    certificate: bytes | None = field(default=None, repr=False)  # what the client showed (DER)

    @classmethod
    def begin(cls, listener: str, request: Request) -> Exchange:
        client = request.client
        return cls(listener, _request_id(request), client.remote, certificate=client.certificate)

    @property
    def context(self) -> Context:
        """What the vault records of this request."""
        return Context(self.request_id, self.route, self.destination, self.origin)


def new_request_id() -> str:
    return new_type_id("req")


def _request_id(request: Request) -> str:
    given = request.first(_ID)
    return given if given and _REQUEST_ID.fullmatch(given) and not _could_hide(given) else new_request_id()


def _could_hide(given: str) -> bool:
    """Tell whether a card number, right or mistyped, or an application key could be in an id.

    It goes into logs and audit events. Letters part a number, other signs do not; a UUID is what it looks like.
    """
    digits = max(map(len, re.split("[A-Za-z]+", _SEPARATORS.sub("", given))))
    return any(prefix in given for prefix in KEY_PREFIXES) or (digits >= 12 and not _UUID.fullmatch(given))
