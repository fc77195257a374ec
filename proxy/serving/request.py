"""Requests as handlers see them: a head that is there, and a body that may still be arriving."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol
from urllib.parse import parse_qsl

from multidict import CIMultiDict, MultiDict

from proxy.errors import BodyIncomplete
from proxy.serving.answer import Answer
from proxy.wire.heads import Header, first


class Client(Protocol):
    """Who sent a request, and gets its answer: one connection."""

    remote: str | None
    scheme: str
    certificate: bytes | None
    """What was shown in the TLS handshake, verified (DER)."""

    async def more(self) -> None:
        """Wait until more of a body is there, or it is known that no more comes."""

    def interim(self) -> None:
        """Ask for the body (RFC 9110, section 10.1.1)."""

    def send(self, request: Request, answer: Answer) -> Awaitable[None]:
        """Send the answer to a request; raises ConnectionError if nobody is there any more."""


class Request:
    """`target` is the request target as it came; `lines` are the headers, in order.

    `expects`: the client waits to be asked for the body. `length` is what Content-Length says. `pieces` is what has
    come of the body and nobody has taken, `held` their size.
    """

    __slots__ = (
        "_headers", "answered", "client", "expects", "failed", "has_body", "held", "is_whole",
        "keep_alive", "length", "lines", "method", "pieces", "target", "version",
    )  # fmt: skip

    def __init__(self, client: Client, method: str, target: str, version: str, lines: Sequence[Header]) -> None:
        self.client = client
        self.method = method
        self.target = target
        self.version = version
        self.lines = lines
        self.keep_alive = self.has_body = self.expects = False
        self.length: int | None = None
        self.pieces: list[bytes] = []
        self.held = 0
        self.is_whole = self.failed = False
        self.answered = False
        """Whether an answer to it has begun."""
        self._headers: CIMultiDict[str] | None = None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The headers as text, in order and spelled as they came."""
        return [(name, value) for _, name, value in self.lines]

    def first(self, name: str) -> str | None:
        """Return the value of the first header of that name, which is in lower case."""
        return first(self.lines, name)

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers as text, by name; not to be changed."""
        if self._headers is None:
            self._headers = CIMultiDict(self.pairs)
        return self._headers

    @property
    def query(self) -> MultiDict[str]:
        """The query, read as a form."""
        return MultiDict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def ask_for_body(self) -> None:
        """Ask for the body if the client waits for that (RFC 9110, section 10.1.1)."""
        if self.expects:
            self.expects = False
            self.client.interim()

    def take(self) -> bytes:
        """Return what there is of the body."""
        pieces, self.pieces, self.held = self.pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def piece(self) -> bytes:
        """Return what has come of the body, or nothing at its end; raises BodyIncomplete."""
        while not self.pieces:
            if self.failed:
                raise BodyIncomplete
            if self.is_whole:
                return b""
            await self.client.more()
        return self.take()
