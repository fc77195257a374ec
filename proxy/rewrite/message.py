"""What of a request or an answer can be rewritten."""

from __future__ import annotations

from dataclasses import field

from proxy.rewrite.media import Media
from vault.frozen import frozen

Headers = tuple[tuple[str, str], ...]


@frozen
class Message:
    """The parts of a message. Without `media` the body is not looked into. `query` is without its `?`."""

    body: bytes = field(default=b"", repr=False)
    media: Media | None = None
    path: str = field(default="", repr=False)
    query: str = field(default="", repr=False)
    headers: Headers = field(default=(), repr=False)
