"""Answers of gateways: read whole, and cleaned of what a request revealed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace

from multidict import CIMultiDict

from proxy.edge.encodings import READABLE, DoesNotInflate, InflatesTooFar, coding, undone
from proxy.edge.headers import end_to_end
from proxy.errors import AnswerTooLarge, AnswerUnreadable
from proxy.rewrite.media import parse
from proxy.rewrite.message import Message
from proxy.routes import OutboundRoute, Route
from proxy.scrub.scrubber import Scrubber
from proxy.upstream.flight import GatewayAnswer, body_of
from proxy.wire.heads import first

_is_readable = re.compile(r"(?:gzip|deflate|identity)(?:, ?(?:gzip|deflate|identity))*").fullmatch
# Charsets in which a digit is not its ASCII byte.
_WIDE_CHARSET = re.compile(r"charset\s*=\s*\"?(?:utf-?(?:16|32|7)|ucs|iso-10646|cp037|ibm|ebcdic)", re.IGNORECASE)
PARTIAL = 206
_PARTS = {"range", "if-range"}
# Numbers that belong to the protocol and are not the gateway's words.
_PROTOCOL_NUMBERS = {"content-length", "age", "retry-after", "date", "expires", "last-modified"}
_OF_ANOTHER_BODY = ("Content-Encoding", "Content-Length", "Content-MD5", "Digest", "Content-Digest", "ETag")


def ask_for_readable(headers: CIMultiDict[str]) -> None:
    """Ask the gateway for an answer in an encoding that can be undone; most SDKs ask for nothing else."""
    accepted = ",".join(headers.getall("Accept-Encoding", []))
    if not accepted or _is_readable(accepted):
        return
    wanted = {each.partition(";")[0].strip().lower() for each in accepted.split(",")}
    if not wanted <= {"", "identity", *READABLE}:
        headers.popall("Accept-Encoding")
        headers["Accept-Encoding"] = "gzip, deflate"


def for_whole(message: Message) -> Message:
    """Return a message that asks for an answer that can be searched as one."""
    if _PARTS.isdisjoint([name.lower() for name, _ in message.headers]):
        return message
    return replace(message, headers=tuple([each for each in message.headers if each[0].lower() not in _PARTS]))


class WholeAnswer:
    """An answer's headers and body. `message` is what can be searched; `raw` is what came if that was not changed."""

    def __init__(self, answer: GatewayAnswer, raw: bytes, plain: bytes, route: OutboundRoute) -> None:
        self.raw = raw
        readable = None
        if plain and route.answers.body:  # else nobody looks into it
            media = parse(first(answer.lines, "content-type") or "")
            readable = media if media is not None and media.type is not None else None
        self._headers = end_to_end(answer.lines)
        self.message = Message(plain, readable, headers=tuple(self._headers.items()))

    def words(self) -> bytes:
        """Return all that may hold a value, as lines: the body, and the headers but for the protocol's numbers."""
        words = [text.encode("utf-8", "surrogateescape") for text in _words(self.message)]
        return b"\n".join([self.message.body, *words])

    def sent(self, message: Message) -> tuple[CIMultiDict[str], bytes]:
        """Return headers and body as they go on: as they came if the body was not changed."""
        if message is self.message:
            return self._headers, self.raw
        headers = CIMultiDict(message.headers)
        if message.body == self.message.body:
            return headers, self.raw
        for name in _OF_ANOTHER_BODY:
            headers.popall(name, None)
        headers["Content-Length"] = str(len(message.body))
        return headers, message.body


async def read_whole(answer: GatewayAnswer, route: OutboundRoute, limit: int) -> WholeAnswer:
    """Read an answer; raises AnswerTooLarge, AnswerUnreadable, or an UpstreamError."""
    body = body_of(answer, route)
    raw = body if isinstance(body, bytes) else await _read(body, route, limit)
    if len(raw) > limit:
        raise AnswerTooLarge(route=route.name, limit=limit)
    return WholeAnswer(answer, raw, _plain(raw, answer, route, limit), route)


async def _read(body: AsyncIterator[bytes], route: Route, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        size += len(piece)
        if size > limit:
            raise AnswerTooLarge(route=route.name, limit=limit)
        pieces.append(piece)
    return b"".join(pieces)


def check_searchable(answer: GatewayAnswer, route: Route) -> str:
    """Return the answer's Content-Type; raises AnswerUnreadable where values may stand in it that are not found."""
    content_type = first(answer.lines, "content-type") or ""
    if _WIDE_CHARSET.search(content_type) or answer.status == PARTIAL:
        raise AnswerUnreadable(route=route.name)
    return content_type


def scrubbed(answer: GatewayAnswer, whole: WholeAnswer, scrubber: Scrubber, route: Route) -> Message:
    """Return the answer's message without the revealed values; raises AnswerUnreadable if that cannot be sure."""
    content_type = check_searchable(answer, route)
    before = whole.message
    clean = scrubber.clean(before.body, is_json="json" in content_type.lower())
    if b"\0" in clean and scrubber.found_in(clean.replace(b"\0", b"")):
        raise AnswerUnreadable(route=route.name)
    cleaned = iter(scrubber.clean_texts(_words(before)))
    headers = tuple(
        (name, value if name.lower() in _PROTOCOL_NUMBERS else next(cleaned)) for name, value in before.headers
    )
    return Message(clean, before.media, headers=headers)


def _words(message: Message) -> list[str]:
    """Return the values of the headers that are the gateway's words."""
    return [value for name, value in message.headers if name.lower() not in _PROTOCOL_NUMBERS]


def _plain(raw: bytes, answer: GatewayAnswer, route: Route, limit: int) -> bytes:
    name = coding([value for lower, _, value in answer.lines if lower == "content-encoding"])
    try:
        return undone(raw, name, limit)
    except InflatesTooFar:
        raise AnswerTooLarge(route=route.name, limit=limit) from None
    except DoesNotInflate:
        raise AnswerUnreadable(route=route.name) from None
