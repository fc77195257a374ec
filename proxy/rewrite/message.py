"""What of a request or an answer can be rewritten."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from proxy.rewrite.media import Media

Headers = tuple[tuple[str, str], ...]


# Final rather than frozen: a frozen class with slots takes three times as long to make, and each request makes some.
@dataclass(slots=True, unsafe_hash=True)
class Message:
    """The parts of a message. Without `media` the body is not looked into. `query` is without its `?`."""

    body: Final[bytes] = field(default=b"", repr=False)
    media: Final[Media | None] = None
    path: Final[str] = field(default="", repr=False)
    query: Final[str] = field(default="", repr=False)
    headers: Final[Headers] = field(default=(), repr=False)
