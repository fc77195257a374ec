"""Bodies of requests: what type they are, and reading them whole within limits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from proxy.errors import (
    BodyIncomplete,
    BodyTimeout,
    BodyTooLarge,
    CharsetUnsupported,
    ContentEncodingUnsupported,
    ContentTypeMissing,
    ContentTypeUnsupported,
)
from proxy.rewrite.plan import BodyType

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"[ \t]*({_NAME}/{_NAME})[ \t]*((?:;.*)?)", re.ASCII)
_MAX_CONTENT_TYPE = 256
_PARAMETER = re.compile(r';\s*(?:([^=;\s]+)\s*=\s*("[^"\\]*"|[^";\s]*))?\s*', re.ASCII)
SMALL_BODY = 64 * 1024
_CHARSETS = {"utf-8", "utf8", "us-ascii"}


def body_type(request: web.BaseRequest, route: str) -> BodyType:
    """Return how the body is to be read; raises one of the errors of status 415."""
    declared = request.headers.getall("Content-Type", [])
    if not declared:
        raise ContentTypeMissing
    match = _MEDIA_TYPE.fullmatch(declared[0][:_MAX_CONTENT_TYPE])
    if len(declared) > 1 or len(declared[0]) > _MAX_CONTENT_TYPE or match is None:
        raise ContentTypeUnsupported(route=route)
    media_type = match[1].lower()
    if any(each.lower() != "identity" for each in request.headers.getall("Content-Encoding", [])):
        raise ContentEncodingUnsupported(route=route)
    _check_charset(match[2], route)
    if media_type == BodyType.FORM.value:
        return BodyType.FORM
    if media_type == BodyType.JSON.value or re.fullmatch(r"application/[^/]+\+json", media_type):
        return BodyType.JSON
    raise ContentTypeUnsupported(route=route)


def _check_charset(parameters: str, route: str) -> None:
    done = 0
    charsets = []
    for parameter in _PARAMETER.finditer(parameters):
        if parameter.start() != done:
            break
        done = parameter.end()
        if parameter[1] and parameter[1].lower() == "charset":
            charsets.append(parameter[2].strip('"').lower())
    if done != len(parameters) or len(charsets) > 1:
        raise ContentTypeUnsupported(route=route)
    if charsets and charsets[0] not in _CHARSETS:
        raise CharsetUnsupported


async def read_body(request: web.BaseRequest, *, limit: int, seconds: float) -> bytes:
    """Return the whole body; raises BodyTooLarge, BodyIncomplete or BodyTimeout."""
    if (request.content_length or 0) > limit:
        raise BodyTooLarge(limit=limit)
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


async def pass_body(request: web.BaseRequest, headers: CIMultiDict[str]) -> bytes | AsyncIterator[bytes]:
    """Return the body to be sent on as it is: whole if it is small, else as it arrives. Raises BodyIncomplete."""
    length = request.content_length
    if length is None:
        return stream_body(request)
    headers["Content-Length"] = str(length)
    if length > SMALL_BODY:
        return stream_body(request)
    return b"".join([piece async for piece in stream_body(request)])


async def stream_body(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """Yield the body as it arrives; raises BodyIncomplete."""
    try:
        async for piece in request.content.iter_any():
            yield piece
    except (web.RequestPayloadError, ConnectionError, HttpProcessingError):
        raise BodyIncomplete from None


async def continue_if_expected(request: web.BaseRequest) -> None:
    """Ask for the body when the client waits for that (RFC 9110, section 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # An interim answer: the final one has not begun.
        request.writer.output_size = 0
