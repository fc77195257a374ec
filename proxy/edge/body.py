"""Bodies of requests: what type they are, and reading them whole within limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from proxy.edge.encodings import READABLE, DoesNotInflate, InflatesTooFar, coding, undone
from proxy.errors import (
    BodyIncomplete,
    BodyTimeout,
    BodyTooLarge,
    ContentEncodingInvalid,
    ContentEncodingUnsupported,
    ContentTypeMissing,
    ContentTypeUnsupported,
)
from proxy.rewrite.media import Media, parse

SMALL_BODY = 64 * 1024
_BROKEN_OFF = (web.RequestPayloadError, ConnectionError, HttpProcessingError)


def media_of(headers: CIMultiDict[str], route: str) -> Media:
    """Return how a request's body is to be read; raises ContentTypeMissing or ContentTypeUnsupported."""
    declared = headers.getall("Content-Type", [])
    if not declared:
        raise ContentTypeMissing
    media = parse(declared[0])
    if len(declared) > 1 or media is None or media.type is None:
        raise ContentTypeUnsupported(route=route)
    return media


def plain_body(raw: bytes, headers: CIMultiDict[str], route: str, limit: int) -> bytes:
    """Return a body without its Content-Encoding, which is taken out of the headers.

    Raises ContentEncodingUnsupported, ContentEncodingInvalid or BodyTooLarge.
    """
    name = coding(headers.popall("Content-Encoding", []))
    if name and name not in READABLE:
        raise ContentEncodingUnsupported(route=route)
    try:
        return undone(raw, name, limit)
    except InflatesTooFar:
        raise BodyTooLarge(limit=limit) from None
    except DoesNotInflate:
        raise ContentEncodingInvalid from None


async def read_body(request: web.BaseRequest, *, limit: int, seconds: float) -> bytes:
    """Return the whole body; raises BodyTooLarge, BodyIncomplete or BodyTimeout."""
    if (request.content_length or 0) > limit:
        raise BodyTooLarge(limit=limit)
    if request.content.is_eof() and request.content.total_bytes <= limit:
        return await _arrived(request)  # with the head, as small bodies do: there is nothing to wait for
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for piece in stream_body(request):
                size += len(piece)
                if size > limit:
                    raise BodyTooLarge(limit=limit)
                pieces.append(piece)
    except TimeoutError:
        raise BodyTimeout from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _arrived(request: web.BaseRequest) -> bytes:
    try:
        return await request.content.read()
    except _BROKEN_OFF:
        raise BodyIncomplete from None


async def stream_body(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """Yield the body as it arrives; raises BodyIncomplete."""
    try:
        async for piece in request.content.iter_any():
            yield piece
    except _BROKEN_OFF:
        raise BodyIncomplete from None


async def continue_if_expected(request: web.BaseRequest) -> None:
    """Ask for the body when the client waits for that (RFC 9110, section 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # An interim answer: the final one has not begun.
        request.writer.output_size = 0
