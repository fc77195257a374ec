"""Sending an upstream's answer on to the client, as it came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from multidict import CIMultiDict

from proxy.edge.exchange import Exchange
from proxy.edge.problem import REQUEST_ID_HEADER

_NO_BODY = {204, 304}
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
# What is written at once; more than that would wait for a client that reads slowly in our memory.
_AT_ONCE = 64 * 1024


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


class _Written(web.StreamResponse):
    """A response that was written whole, head and body together, past aiohttp's own."""

    def __init__(self, status: int, *, keep_alive: bool) -> None:
        self._status = status
        self._keep_alive = keep_alive
        self._eof_sent = True


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
    if has_body and isinstance(answer.body, bytes) and len(answer.body) <= _AT_ONCE and request.version == (1, 1):
        return await _write(request, answer, answer.body)
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


async def _write(request: web.BaseRequest, answer: Answer, body: bytes) -> web.StreamResponse:
    reason = _PHRASES.get(answer.status, "") if answer.reason is None else answer.reason
    lines = [f"HTTP/1.1 {answer.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() != "content-length"]
    if "Date" not in answer.headers:
        lines.append(f"Date: {rfc822_formatted_time()}")
    if not request.keep_alive:
        lines.append("Connection: close")
    lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a header with a line break")
    await request.writer.write(f"{head}\r\n\r\n".encode("utf-8", "surrogateescape") + body)
    return _Written(answer.status, keep_alive=request.keep_alive)
