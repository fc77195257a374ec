"""Taking a request in: its body whole where something in it may be replaced, else as it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import field

from multidict import CIMultiDict

from proxy.config import LimitsConfig
from proxy.edge.body import SMALL_BODY, media_of, plain_body, read_body, stream_body
from proxy.edge.encodings import coding
from proxy.rewrite.media import Media, parse
from proxy.rewrite.message import Message
from proxy.routes import Route
from proxy.serving.request import Request
from vault.frozen import frozen


@frozen
class Incoming:
    """A request's message, and its body where that is not part of it: it `streams`, in a content `coding` or none.

    `raw` is the body of the message as it came, before its Content-Encoding was undone.
    """

    message: Message = field(repr=False)
    streams: AsyncIterator[bytes] | None = None
    coding: str = ""
    raw: bytes = field(default=b"", repr=False)


async def take(
    request: Request,
    route: Route,
    target: tuple[str, str],
    headers: CIMultiDict[str],
    limits: LimitsConfig,
    *,
    tokenizes: bool = False,
    signed: bool = False,
) -> Incoming:
    """Return the request as it is to be sent to `target`, path and query, with `headers`.

    `tokenizes`: the body may have to be changed wherever a card number stands. `signed`: it is needed to check and to
    make a signature, and stays in its Content-Encoding unless something in it may be replaced. Raises a RequestError.
    """
    request.ask_for_body()
    media = _media(headers, route) if request.has_body else None
    whole = media is not None or tokenizes
    if not request.has_body:
        return Incoming(_message(target, headers, b"", None))
    encodings = headers.getall("Content-Encoding", ())
    name = coding(encodings)
    if not whole and not signed and not _is_small(request, name):
        if request.length is not None:
            headers["Content-Length"] = str(request.length)
        return Incoming(_message(target, headers, b"", None), stream_body(request), name)
    raw = await read_body(request, limit=limits.body_bytes, seconds=limits.body_seconds)
    body = plain_body(raw, headers, route.name, limits.body_bytes) if encodings and (whole or not signed) else raw
    return Incoming(_message(target, headers, body, media), raw=raw)


def taken(
    raw: bytes, route: Route, target: tuple[str, str], headers: CIMultiDict[str], limits: LimitsConfig
) -> Incoming:
    """Return a request whose body was read before; raises a RequestError."""
    media = _media(headers, route) if raw else None
    body = plain_body(raw, headers, route.name, limits.body_bytes) if raw else b""
    return Incoming(_message(target, headers, body, media), raw=raw)


def _media(headers: CIMultiDict[str], route: Route) -> Media | None:
    """Return how the body is to be read, or None if it need not be. Raises ContentType errors where it must be."""
    if route.protects_body:
        return media_of(headers, route.name)
    if not route.fields.body:
        return None
    # Exceptions for the guard alone: without them it finds rather more.
    media = parse(headers.get("Content-Type", ""))
    return media if media is not None and media.type is not None else None


def _is_small(request: Request, name: str) -> bool:
    return not name and request.length is not None and request.length <= SMALL_BODY


def _message(target: tuple[str, str], headers: CIMultiDict[str], body: bytes, media: Media | None) -> Message:
    return Message(body, media, *target, tuple(headers.items()))
