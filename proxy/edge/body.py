"""Bodies of requests: what type they are, and reading them whole within limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from multidict import CIMultiDict

from proxy.edge.encodings import READABLE, DoesNotInflate, InflatesTooFar, coding, undone
from proxy.errors import (
    BodyTimeout,
    BodyTooLarge,
    ContentEncodingInvalid,
    ContentEncodingUnsupported,
    ContentTypeMissing,
    ContentTypeUnsupported,
)
from proxy.rewrite.media import Media, parse
from proxy.serving.request import Request

SMALL_BODY = 64 * 1024


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


async def read_body(request: Request, *, limit: int, seconds: float) -> bytes:
    """Return the whole body; raises BodyTooLarge, BodyIncomplete or BodyTimeout."""
    if (request.length or 0) > limit or (request.is_whole and request.held > limit):
        raise BodyTooLarge(limit=limit)
    if request.is_whole:
        return request.take()  # it came with the head, as small bodies do: there is nothing to wait for
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while piece := await request.piece():
                size += len(piece)
                if size > limit:
                    raise BodyTooLarge(limit=limit)
                pieces.append(piece)
    except TimeoutError:
        raise BodyTimeout from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def stream_body(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives; raises BodyIncomplete."""
    while piece := await request.piece():
        yield piece
