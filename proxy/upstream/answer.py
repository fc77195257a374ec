"""Answers of gateways: read whole, and cleaned of what a request revealed."""

from __future__ import annotations

import re

from multidict import CIMultiDict

from proxy.edge.encodings import READABLE, DoesNotInflate, InflatesTooFar, coding, undone
from proxy.edge.headers import end_to_end
from proxy.errors import AnswerTooLarge, AnswerUnreadable
from proxy.rewrite.media import parse
from proxy.rewrite.message import Message
from proxy.routes import Route
from proxy.scrub.scrubber import Scrubber
from proxy.upstream.flight import GatewayAnswer, read_answer

# Charsets in which a digit is not its ASCII byte.
_WIDE_CHARSET = re.compile(r"charset\s*=\s*\"?(?:utf-?(?:16|32|7)|ucs|iso-10646|cp037|ibm|ebcdic)", re.IGNORECASE)
PARTIAL = 206
# Numbers that belong to the protocol and are not the gateway's words.
_PROTOCOL_NUMBERS = {"content-length", "age", "retry-after", "date", "expires", "last-modified"}
_OF_ANOTHER_BODY = ("Content-Encoding", "Content-Length", "Content-MD5", "Digest", "Content-Digest", "ETag")


def ask_for_readable(headers: CIMultiDict[str]) -> None:
    """Ask the gateway for an answer in an encoding that can be undone; most SDKs ask for nothing else."""
    accepted = ",".join(headers.getall("Accept-Encoding", [])).split(",")
    wanted = {each.partition(";")[0].strip().lower() for each in accepted}
    if not wanted <= {"", "identity", *READABLE}:
        headers.popall("Accept-Encoding")
        headers["Accept-Encoding"] = "gzip, deflate"


def ask_for_whole(headers: CIMultiDict[str]) -> None:
    """Ask for an answer that can be searched as one."""
    for name in ("Range", "If-Range"):
        headers.popall(name, None)
    ask_for_readable(headers)


class WholeAnswer:
    """An answer's headers and body. `message` is what can be searched; `raw` is what came if that was not changed."""

    def __init__(self, answer: GatewayAnswer, raw: bytes, plain: bytes) -> None:
        self.raw = raw
        headers = end_to_end(answer.raw_headers)
        media = parse(answer.headers.get("Content-Type", ""))
        readable = media if plain and media is not None and media.type is not None else None
        self.message = Message(plain, readable, headers=tuple(headers.items()))
        self._before = plain

    def sent(self, message: Message) -> tuple[CIMultiDict[str], bytes]:
        """Return headers and body as they go on: as they came if the body was not changed."""
        headers = CIMultiDict(message.headers)
        if message.body == self._before:
            return headers, self.raw
        for name in _OF_ANOTHER_BODY:
            headers.popall(name, None)
        headers["Content-Length"] = str(len(message.body))
        return headers, message.body


async def read_whole(answer: GatewayAnswer, route: Route, limit: int) -> WholeAnswer:
    """Read an answer; raises AnswerTooLarge, AnswerUnreadable, or an UpstreamError."""
    pieces: list[bytes] = []
    size = 0
    async for piece in read_answer(answer, route):
        size += len(piece)
        if size > limit:
            raise AnswerTooLarge(route=route.name, limit=limit)
        pieces.append(piece)
    raw = b"".join(pieces)
    return WholeAnswer(answer, raw, _plain(raw, answer, route, limit))


def scrubbed(answer: GatewayAnswer, whole: WholeAnswer, scrubber: Scrubber, route: Route) -> Message:
    """Return the answer's message without the revealed values; raises AnswerUnreadable if that cannot be sure."""
    content_type = answer.headers.get("Content-Type", "")
    if _WIDE_CHARSET.search(content_type) or not _in_one_piece(answer):
        raise AnswerUnreadable(route=route.name)
    before = whole.message
    clean = scrubber.clean(before.body, is_json="json" in content_type.lower())
    if b"\0" in clean and scrubber.found_in(clean.replace(b"\0", b"")):
        raise AnswerUnreadable(route=route.name)
    words = [value for name, value in before.headers if name.lower() not in _PROTOCOL_NUMBERS]
    cleaned = iter(scrubber.clean_texts(words))
    headers = tuple(
        (name, value if name.lower() in _PROTOCOL_NUMBERS else next(cleaned)) for name, value in before.headers
    )
    return Message(clean, before.media, headers=headers)


def _in_one_piece(answer: GatewayAnswer) -> bool:
    """Tell whether the body is a whole one, of which there is no doubt."""
    transfer = answer.headers.getall("Transfer-Encoding", ["chunked"])
    return [each.lower() for each in transfer] == ["chunked"] and answer.status != PARTIAL


def _plain(raw: bytes, answer: GatewayAnswer, route: Route, limit: int) -> bytes:
    try:
        return undone(raw, coding(answer.headers.getall("Content-Encoding", [])), limit)
    except InflatesTooFar:
        raise AnswerTooLarge(route=route.name, limit=limit) from None
    except DoesNotInflate:
        raise AnswerUnreadable(route=route.name) from None
