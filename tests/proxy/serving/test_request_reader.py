"""Requests as hostile or broken clients may write them: read in exactly one way, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import FramingConflict, HeadTooLarge, RequestError, RequestMalformed
from proxy.serving.request_reader import RequestReader
from proxy.wire.heads import MAX_HEAD_BYTES, MAX_HEADERS
from tests.harness.serving import Nobody, read

POST = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


REFUSED: dict[str, tuple[bytes, type[RequestError]]] = {
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", FramingConflict),
    "a list of lengths": (POST + b"Content-Length: 2, 2\r\n\r\nab", RequestMalformed),
    "a signed length": (POST + b"Content-Length: +2\r\n\r\nab", RequestMalformed),
    "a negative length": (POST + b"Content-Length: -2\r\n\r\nab", RequestMalformed),
    "an empty length": (POST + b"Content-Length:\r\n\r\nab", RequestMalformed),
    "a hexadecimal length": (POST + b"Content-Length: 0x2\r\n\r\nab", RequestMalformed),
    "a length that overflows": (POST + b"Content-Length: 99999999999999999999999\r\n\r\nab", RequestMalformed),
    "a length and a coding": (
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        FramingConflict,
    ),
    "a coding and a length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        FramingConflict,
    ),
    "two codings": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", RequestMalformed),
    "a coding twice": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", RequestMalformed),
    "another coding": (POST + b"Transfer-Encoding: identity\r\n\r\nab", RequestMalformed),
    "no coding": (POST + b"Transfer-Encoding:\r\n\r\nab", RequestMalformed),
    "a coding behind a control": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", RequestMalformed),
    "a coding of HTTP/1.0": (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        RequestMalformed,
    ),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", RequestMalformed),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", RequestMalformed),
    "a space before the colon": (POST + b"Content-Length : 2\r\n\r\nab", RequestMalformed),
    "a folded header": (POST + b"X-A: b\r\n c\r\n\r\n", RequestMalformed),
    "a line feed alone": (b"GET / HTTP/1.1\nHost: x\n\n", RequestMalformed),
    "a carriage return alone": (b"GET / HTTP/1.1\rHost: x\r\r", RequestMalformed),
    "a NUL in a value": (POST + b"X-A: b\0c\r\n\r\n", RequestMalformed),
    "a NUL in the target": (b"GET /\0 HTTP/1.1\r\n\r\n", RequestMalformed),
    "a name with a space": (POST + b"X A: b\r\n\r\n", RequestMalformed),
    "a name that is not ASCII": (POST + b"X-\xc3\xa9: b\r\n\r\n", RequestMalformed),
    "no colon": (POST + b"XA\r\n\r\n", RequestMalformed),
    "no version": (b"GET /\r\n\r\n", RequestMalformed),
    "HTTP/2": (b"GET / HTTP/2.0\r\n\r\n", RequestMalformed),
    "a preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", RequestMalformed),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\n\r\n", RequestMalformed),
    "an unknown version": (b"GET / HTTP/1.2\r\n\r\n", RequestMalformed),
    "an unknown method": (b"BREW / HTTP/1.1\r\n\r\n", RequestMalformed),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", RequestMalformed),
    "a head without end": (POST + b"X: " + b"a" * MAX_HEAD_BYTES, HeadTooLarge),
    "a target without end": (b"GET /" + b"a" * MAX_HEAD_BYTES, HeadTooLarge),
    "a large head that ends": (POST + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", HeadTooLarge),
    "a large head behind a request": (GET + POST + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", HeadTooLarge),
    "more headers than fit": (POST + b"X: a\r\n" * MAX_HEADERS + b"\r\n", HeadTooLarge),
    "a chunk of no size": (CHUNKED + b"zz\r\nab\r\n0\r\n\r\n", RequestMalformed),
    "a chunk that ends elsewhere": (CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", RequestMalformed),
    "a chunk with line feeds alone": (CHUNKED + b"2\nab\n0\n\n", RequestMalformed),
    "a chunk with a space": (CHUNKED + b"2 \r\nab\r\n0\r\n\r\n", RequestMalformed),
    "a chunk that overflows": (CHUNKED + b"fffffffffffffffff1\r\nab", RequestMalformed),
    "an extension without end": (CHUNKED + b"2;" + b"a" * MAX_HEAD_BYTES, HeadTooLarge),
    "trailers without end": (CHUNKED + b"0\r\n" + b"X: a\r\n" * 20_000, HeadTooLarge),
    "junk after an upgraded body": (
        POST + H2C + b"Content-Length: 2\r\n\r\nabjunk\r\n\r\n",
        RequestMalformed,
    ),
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize(("data", "error"), REFUSED.values(), ids=REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(data, error, bytewise):
    with pytest.raises(error):
        read(data, bytewise=bytewise)


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
def test_a_request_is_read_as_it_came(bytewise):
    head = POST + b"X-a: \t caf\xe9  \r\nx-A:\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n"
    (request,) = read(head + b"abc", bytewise=bytewise).requests
    assert (request.method, request.target, request.version) == ("POST", "/a?b=c", "1.1")
    assert request.pairs == [
        ("Host", "x"),
        ("X-a", "caf\udce9"),
        ("x-A", ""),
        ("Content-Length", "3"),
        ("Expect", "100-Continue"),
    ]
    assert (request.length, request.has_body, request.expects, request.keep_alive) == (3, True, True, True)
    assert (request.is_whole, request.take(), request.first("x-a")) == (True, b"abc", "caf\udce9")


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize(
    ("framed", "body"),
    [
        (b"Content-Length: 4\r\n\r\n4111", b"4111"),
        (b"Transfer-Encoding: Chunked\r\n\r\n2;a=b\r\n41\r\n2\r\n11\r\n0\r\nX-Trailer: c\r\n\r\n", b"4111"),
        (b"Content-Length: 0\r\n\r\n", b""),
        (b"\r\n", b""),
    ],
    ids=["length", "chunks", "empty", "none"],
)
@pytest.mark.parametrize("more", [b"", H2C], ids=["plain", "with an upgrade"])
def test_bodies_are_whole_and_the_next_request_is_one_of_its_own(framed, body, more, bytewise):
    """Java's client asks for an upgrade with every first request, also with those that have bodies."""
    reader = read(POST + more + framed + GET, bytewise=bytewise)
    first, second = reader.requests
    assert (first.is_whole, first.take(), second.method, second.is_whole) == (True, body, "GET", True)
    assert "x-trailer" not in [line[0] for line in first.lines]


@pytest.mark.parametrize(
    ("head", "stays"),
    [
        (GET, True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_who_wants_the_connection_to_stay_says_so(head, stays):
    (request,) = read(head).requests
    assert request.keep_alive is stays


def test_what_came_before_a_refusal_still_counts():
    reader = RequestReader(Nobody())
    with pytest.raises(RequestMalformed):
        reader.feed(GET + b"junk\r\n\r\n")
    assert [each.is_whole for each in reader.requests] == [True]


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.data())
def test_it_does_not_matter_in_which_pieces_a_request_arrives(chunks, data):
    wire = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n" + GET
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reader = RequestReader(Nobody())
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        if wire[start:end]:
            reader.feed(wire[start:end])
    first, second = reader.requests
    assert (first.take(), first.is_whole, second.method) == (b"".join(chunks), True, "GET")
