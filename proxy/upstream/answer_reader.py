"""Reads answers as RFC 9112 frames them, from a gateway that may be hostile. Pure: bytes in, a head and pieces out.

Rules:
1. What could be framed in two ways is malformed: two lengths, a length beside a transfer coding, another coding than
   chunked, an upgrade that nobody asked for.
2. Interim answers (1xx) are left out, and there are few of them. Heads, trailers and chunk extensions are limited.
3. What comes in one piece with an answer, behind it, makes it malformed: where it ends is in doubt. What comes later is
   no answer to the next request: the connection is not used again.
"""

from __future__ import annotations

import re
from enum import Enum

from httptools import HttpParserError, HttpResponseParser

from proxy.wire.heads import BODILESS, MAX_HEAD_BYTES, MAX_HEADERS, VERSIONS, Header, header, is_chunked

MAX_INTERIM = 16
_INTERIM = range(100, 200)
_SWITCHING = 101
_is_reason = re.compile(rb"[\t\x20-\x7e\x80-\xff]*").fullmatch  # RFC 9112, section 4


class AnswerMalformed(Exception):
    """What came is no valid answer; it says nothing of what it was."""


class State(Enum):
    """Where the reader stands."""

    IDLE = "idle"  # nothing was asked
    HEAD = "head"
    BODY = "body"
    DONE = "done"


class AnswerReader:
    """Of one connection, for one answer at a time: `expect` it, `feed` what arrives, say when there is no more.

    `status`, `reason` and `headers` are there from state BODY on. The body is in `pieces` until somebody takes it.
    """

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.state = State.IDLE
        self.status = 0
        self.pieces: list[bytes]
        self.held: int
        """Bytes of the body that nobody has taken yet."""
        self.is_reusable = True
        """Whether another request may follow on the connection once this answer is done."""
        self._begin("")

    def _begin(self, method: str) -> None:
        self._is_head = method == "HEAD"
        self._is_interim = False
        self._interim = 0
        self._framed = False
        self._barren = 0  # bytes since the last one of a body
        self.pieces, self.held = [], 0
        self._clear()

    @property
    def is_done(self) -> bool:
        """Whether the whole answer is there."""
        return self.state is State.DONE

    def expect(self, method: str) -> None:
        """Expect the answer to a request that is sent now."""
        self._begin(method)
        self.state = State.HEAD

    def _clear(self) -> None:
        self.reason = b""
        self.headers: list[Header] = []
        self._codings: list[str] = []
        self.keep_alive = ""
        """What its Keep-Alive says."""

    def feed(self, data: bytes) -> None:
        """Take what has arrived; raises AnswerMalformed."""
        if self.state in (State.IDLE, State.DONE):
            self.is_reusable = False
            return
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            raise AnswerMalformed from None
        if self._barren > MAX_HEAD_BYTES and not self.is_done:
            raise AnswerMalformed

    def take(self) -> bytes:
        """Return what there is of the body, in one piece: chunks may be tiny."""
        pieces, self.pieces, self.held = self.pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end(self) -> bool:
        """There is no more to come; return whether the answer is whole by that."""
        self.is_reusable = False
        if self.state is State.BODY and not self._framed:
            self.state = State.DONE
        return self.state in (State.DONE, State.IDLE)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.state is not State.HEAD:
            raise AnswerMalformed  # a second answer, in one piece with the first

    def on_status(self, piece: bytes) -> None:
        if self.state is State.HEAD:
            self.reason += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.state is not State.HEAD:
            self.is_reusable = False  # a trailer, or the head of what nobody asked for
            return
        line = header(name, value)
        self.headers.append(line)
        match line[0]:
            case "content-length":
                self._framed = True
            case "transfer-encoding":
                self._framed = True
                self._codings.append(line[2])
            case "keep-alive":
                self.keep_alive = line[2]

    def on_headers_complete(self) -> None:
        if self.state is not State.HEAD:
            return
        self.status = status = self._parser.get_status_code()
        if status in _INTERIM:
            self._leave_out(status)
            return
        if len(self.headers) > MAX_HEADERS or status < 100 or self._parser.get_http_version() not in VERSIONS:
            raise AnswerMalformed
        if (self._codings and not is_chunked(",".join(self._codings))) or not _is_reason(self.reason):
            raise AnswerMalformed
        self._framed = self._framed or status in BODILESS
        self.state = State.BODY
        if self._is_head:  # the parser waits for a body that does not come
            self.is_reusable = False
            self.state = State.DONE

    def _leave_out(self, status: int) -> None:
        self._interim += 1
        if status == _SWITCHING or self._interim > MAX_INTERIM:
            raise AnswerMalformed
        self._is_interim = True
        self._framed = False

    def on_body(self, piece: bytes) -> None:
        if self.state is State.BODY:
            self._barren = 0
            self.held += len(piece)
            self.pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._is_interim:
            self._is_interim = False
            self._clear()
        elif self.state is State.BODY:
            self.state = State.DONE
            self.is_reusable = self.is_reusable and self._parser.should_keep_alive()
