"""Reads requests as RFC 9112 frames them, from clients that may be hostile. Pure: bytes in, requests and pieces out.

Rules:
1. What could be framed in two ways is refused, and what comes behind it is not read.
2. Heads, trailers and chunk extensions are limited.
3. An Upgrade is not followed (RFC 9110, section 7.8): its request is read like any other.
"""

from __future__ import annotations

import re
from collections import deque

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from proxy.errors import FramingConflict, HeadTooLarge, RequestError, RequestMalformed
from proxy.serving.request import Client, Request
from proxy.wire.heads import MAX_HEAD_BYTES, MAX_HEADERS, VERSIONS, Header, header, is_chunked

_LENGTH, _CODING, _HOST, _EXPECT = "content-length", "transfer-encoding", "host", "expect"
_NOTED = frozenset({_LENGTH, _CODING, _HOST, _EXPECT})
_conflicts = re.compile("Duplicate Content-Length|can't be present").search  # in the parser's words


class RequestReader:
    """Of one connection. `requests` are those that nobody has taken yet, in order; bodies arrive in the last one.

    After it has refused something it must not be fed any more.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._parser = HttpRequestParser(self)
        self.requests: deque[Request] = deque()
        self.newest: Request | None = None
        """The request whose head came last."""
        self._url = b""
        self._headers: list[Header] = []
        self._noted: dict[str, str] = {}
        self._refusal: RequestError | None = None
        self._in_head = False
        self._barren = 0  # bytes since the last one of a body, or the last request
        self._piece = 0  # bytes that came last
        self._upgrades = self._resumes = False

    @property
    def in_head(self) -> bool:
        """Whether a part of a head has come, and not all of it."""
        return self._in_head

    @property
    def in_body(self) -> bool:
        """Whether more of a body is to come."""
        return not self._in_head and self.newest is not None and not self.newest.is_whole

    def feed(self, data: bytes) -> None:
        """Take what has arrived; raises a RequestError, after which what came before it still counts."""
        self._piece = len(data)
        self._barren += len(data)
        self._parse(data)
        if self._barren > MAX_HEAD_BYTES and (self._in_head or self.in_body):
            raise HeadTooLarge(limit=MAX_HEAD_BYTES)

    def _parse(self, data: bytes) -> None:
        rest: bytes | memoryview | None = data
        try:
            while rest is not None:
                rest = self._rest(rest)
        except HttpParserError as error:
            raise self._refused(error) from None

    def _rest(self, data: bytes | memoryview) -> memoryview | None:
        """Read on; return what is left behind a request with an Upgrade."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._resume()
            return memoryview(data)[upgrade.args[0] :]
        return None

    def _refused(self, error: HttpParserError) -> RequestError:
        if self._refusal is not None:
            return self._refusal
        return FramingConflict() if _conflicts(str(error)) else RequestMalformed()

    def _resume(self) -> None:
        """Read the body of a request with an Upgrade, which the parser takes for another protocol's."""
        framing = b"Transfer-Encoding: chunked"
        if _CODING not in self._noted:
            framing = b"Content-Length: %d" % (self.newest.length or 0 if self.newest is not None else 0)
        self._upgrades, self._resumes = False, True
        self._parser = HttpRequestParser(self)
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._resumes:
            return
        self._in_head = True
        self._url = b""
        self._headers = []
        self._noted = {}

    def on_url(self, piece: bytes) -> None:
        if not self._resumes:
            self._url += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: it is no part of what travels on
        lower, text = (line := header(name, value))[0], line[2]
        self._headers.append(line)
        if lower in _NOTED:
            if lower in self._noted and lower != _EXPECT:
                self._refuse(FramingConflict() if lower == _LENGTH else RequestMalformed())
            self._noted[lower] = text

    def on_headers_complete(self) -> None:
        if self._resumes:
            self._resumes = False
            return
        self._in_head = False
        self._check()
        parser, noted = self._parser, self._noted
        request = Request(
            self._client,
            parser.get_method().decode("ascii"),
            self._url.decode("utf-8", "surrogateescape"),
            parser.get_http_version(),
            self._headers,
        )
        request.keep_alive = parser.should_keep_alive()
        if _LENGTH in noted:
            request.length = int(noted[_LENGTH])
        request.has_body = _CODING in noted or bool(request.length)
        request.expects = noted.get(_EXPECT, "").lower() == "100-continue" and request.version == "1.1"
        self._upgrades = parser.should_upgrade()
        self.newest = request
        self.requests.append(request)

    def _check(self) -> None:
        noted = self._noted
        version = self._parser.get_http_version()
        if version not in VERSIONS or (version == "1.1" and _HOST not in noted):
            self._refuse(RequestMalformed())
        if _CODING in noted:
            if _LENGTH in noted:
                self._refuse(FramingConflict())
            if not is_chunked(noted[_CODING]) or version == "1.0":
                self._refuse(RequestMalformed())
        if max(self._barren, self._piece) > MAX_HEAD_BYTES or len(self._headers) > MAX_HEADERS:
            size = len(self._url) + sum(len(name) + len(value) + 4 for _, name, value in self._headers)
            if size > MAX_HEAD_BYTES or len(self._headers) > MAX_HEADERS:
                self._refuse(HeadTooLarge(limit=MAX_HEAD_BYTES))

    def _refuse(self, error: RequestError) -> None:
        self._refusal = error
        raise error

    def on_body(self, piece: bytes) -> None:
        self._barren = 0
        request = self.newest
        if request is not None:
            request.held += len(piece)
            request.pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._upgrades:
            return  # its body is still to come
        self._barren = 0
        if self.newest is not None:
            self.newest.is_whole = True
