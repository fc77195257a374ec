"""Requests and answers as bytes that can be kept: a JSON head, a zero byte, and the body as it is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from multidict import CIMultiDict

from proxy.rewrite.media import parse
from proxy.rewrite.message import Headers, Message
from proxy.serving.answer import Answer


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request that is sent later. It has tokens and stand-ins where card data and credentials will be."""

    method: str
    message: Message = field(repr=False)
    origin: str | None = None


def pack_answer(answer: Answer) -> bytes:
    """Return an answer whose body is all there."""
    if not isinstance(answer.body, bytes):
        raise TypeError("the body of this answer streams")
    return _packed([answer.status, answer.reason, list(answer.headers.items())], answer.body)


def unpack_answer(data: bytes) -> Answer:
    (status, reason, headers), body = _unpacked(data)
    return Answer(status, reason, CIMultiDict([(name, value) for name, value in headers]), body)


def pack_request(request: KeptRequest) -> bytes:
    message = request.message
    is_read = message.media is not None
    head = [request.method, message.path, message.query, list(message.headers), is_read, request.origin]
    return _packed(head, message.body)


def unpack_request(data: bytes) -> KeptRequest:
    (method, path, query, pairs, is_read, origin), body = _unpacked(data)
    headers: Headers = tuple((name, value) for name, value in pairs)
    media = parse(CIMultiDict(headers).get("Content-Type", "")) if is_read else None
    return KeptRequest(method, Message(body, media, path, query, headers), origin)


def _packed(head: list[object], body: bytes) -> bytes:
    return json.dumps(head).encode("ascii") + b"\0" + body


def _unpacked(data: bytes) -> tuple[list, bytes]:  # type: ignore[type-arg]  # JSON of ours
    head, _, body = data.partition(b"\0")
    return json.loads(head), body
