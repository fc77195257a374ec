"""Sending an upstream's answer on to the client, as it came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDict

from proxy.edge.exchange import Exchange
from proxy.edge.problem import REQUEST_ID_HEADER

_NO_BODY = {204, 304}


class _Response(web.StreamResponse):
    """A response to which aiohttp adds nothing of its own."""

    def __init__(self, status: int, reason: str | None, headers: CIMultiDict[str]) -> None:
        super().__init__(status=status, reason=reason)
        self._given = {name.lower() for name in headers}
        self.headers.extend(headers)

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        for name in ("Server", "Content-Type"):
            if name.lower() not in self._given:
                self.headers.popall(name, None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client."""

    status: int
    reason: str | None
    headers: CIMultiDict[str]
    body: bytes | AsyncIterator[bytes]


async def relay(request: web.BaseRequest, exchange: Exchange, answer: Answer) -> web.StreamResponse:
    """Send status, headers and body on. A body that breaks off breaks the connection: nothing is made to look whole."""
    answer.headers.setdefault(REQUEST_ID_HEADER, exchange.request_id)
    has_body = request.method != "HEAD" and answer.status not in _NO_BODY
    response = _Response(answer.status, answer.reason, answer.headers)
    if "Content-Length" not in answer.headers and request.version >= (1, 1) and has_body:
        response.enable_chunked_encoding()
    await response.prepare(request)
    if has_body and isinstance(answer.body, bytes):
        await response.write(answer.body)
    elif has_body and not isinstance(answer.body, bytes):
        async for piece in answer.body:
            await response.write(piece)
    await response.write_eof()
    return response
