"""A webhook as it is kept: a message without its values, in one sealed document. Pure."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

from proxy.rewrite.message import Message

KIND = "webhook"
"""The kind of these documents: bound into what is sealed."""


def pack(message: Message, method: str = "POST") -> bytes:
    """Return a message as JSON; header values keep the bytes that they came in."""
    return json.dumps(
        {
            "method": method,
            "path": message.path,
            "query": message.query,
            "headers": message.headers,
            "body": b64encode(message.body).decode(),
        }
    ).encode()


def unpack(data: bytes) -> tuple[str, Message]:
    """Return the method and the message."""
    found = json.loads(data)
    headers = tuple((name, value) for name, value in found["headers"])
    body = b64decode(found["body"])
    return found["method"], Message(body, None, found["path"], found["query"], headers)
