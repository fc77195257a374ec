"""Answers as a hostile or broken gateway may write them: read in exactly one way, or refused as malformed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.answer_reader import AnswerMalformed, AnswerReader, State
from proxy.wire.heads import MAX_HEAD_BYTES

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(data: bytes, method: str = "POST", *, bytewise: bool = False) -> AnswerReader:
    reader = AnswerReader()
    reader.expect(method)
    for piece in [data[i : i + 1] for i in range(len(data))] if bytewise else [data]:
        reader.feed(piece)
    return reader


def body(reader: AnswerReader) -> bytes:
    return b"".join(reader.pieces)


MALFORMED = {
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nab",
    "a signed length": OK + b"Content-Length: +2\r\n\r\nab",
    "a negative length": OK + b"Content-Length: -2\r\n\r\nab",
    "an empty length": OK + b"Content-Length:\r\n\r\nab",
    "a hexadecimal length": OK + b"Content-Length: 0x2\r\n\r\nab",
    "a length that overflows": OK + b"Content-Length: 99999999999999999999999\r\n\r\nab",
    "a length and a coding": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding and a length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "two codings": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": OK + b"Transfer-Encoding: identity\r\n\r\nab",
    "a coding behind a control": OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": OK + b"Content-Length : 2\r\n\r\nab",
    "a folded header": OK + b"X-A: b\r\n c\r\n" + EMPTY,
    "a line feed alone": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a carriage return alone": b"HTTP/1.1 200 OK\rContent-Length: 0\r\r",
    "a NUL in a value": OK + b"X-A: b\0c\r\n" + EMPTY,
    "a NUL in the reason": b"HTTP/1.1 200 O\0K\r\n" + EMPTY,
    "a name with a space": OK + b"X A: b\r\n" + EMPTY,
    "no colon": OK + b"XA\r\n" + EMPTY,
    "HTTP/2": b"HTTP/2.0 200 OK\r\n" + EMPTY,
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n" + EMPTY,
    "an unknown version": b"HTTP/1.2 200 OK\r\n" + EMPTY,
    "a status of two digits": b"HTTP/1.1 99 X\r\n" + EMPTY,
    "a status below 100": b"HTTP/1.1 099 X\r\n" + EMPTY,
    "a status of four digits": b"HTTP/1.1 1000 X\r\n" + EMPTY,
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "junk before it": b"junk" + OK + EMPTY,
    "an upgrade that nobody asked for": b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "interim answers without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + OK + EMPTY,
    "a head without end": OK + b"X: " + b"a" * MAX_HEAD_BYTES,
    "headers without end": OK + b"X: a\r\n" * 300 + EMPTY,
    "a chunk of no size": CHUNKED + b"zz\r\nab\r\n0\r\n\r\n",
    "a chunk that ends elsewhere": CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
    "a chunk with line feeds alone": CHUNKED + b"2\nab\n0\n\n",
    "a chunk with a space": CHUNKED + b"2 \r\nab\r\n0\r\n\r\n",
    "a chunk of negative size": CHUNKED + b"-2\r\nab\r\n0\r\n\r\n",
    "a chunk that overflows": CHUNKED + b"fffffffffffffffff1\r\nab",
    "a length in the trailers": CHUNKED + b"2\r\nab\r\n0\r\nContent-Length: 5\r\n\r\n",
    "an extension without end": CHUNKED + b"2;" + b"a" * MAX_HEAD_BYTES,
    "trailers without end": CHUNKED + b"0\r\n" + b"X: a\r\n" * 20_000,
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_could_be_read_in_two_ways_is_malformed(data, bytewise):
    with pytest.raises(AnswerMalformed):
        read(data, bytewise=bytewise)


WHOLE = {
    "by length": (OK + b"Content-Length: 2\r\n\r\nab", b"ab", True),
    "in chunks": (CHUNKED + b"1\r\na\r\n1;x=y\r\nb\r\n0\r\n\r\n", b"ab", True),
    "with trailers": (CHUNKED + b"2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n", b"ab", False),
    "after interim ones": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 9\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nab",
        b"ab",
        True,
    ),
    "without a body": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "that was not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", True),
    "without a reason": (b"HTTP/1.1 200\r\n" + EMPTY, b"", True),
    "of HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", b"ab", False),
    "of HTTP/1.0 that stays": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab",
        b"ab",
        True,
    ),
    "that closes": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nab", b"ab", False),
    "in other letters": (OK + b"transfer-ENCODING: ChunKed\r\n\r\n2\r\nab\r\n0\r\n\r\n", b"ab", True),
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize(("data", "expected", "reusable"), WHOLE.values(), ids=WHOLE)
def test_a_whole_answer(data, expected, reusable, bytewise):
    reader = read(data, bytewise=bytewise)
    assert (body(reader), reader.is_done, reader.is_reusable) == (expected, True, reusable)
    assert reader.end()


def test_the_head_is_as_it_came():
    reader = read(
        b"HTTP/1.1 402 Nicht \xc3\xbcblich\r\nX-Empty:\r\nx-Spelled: \xe9 \r\nX-Twice: 1\r\nX-Twice: 2\r\n" + EMPTY
    )
    assert (reader.status, reader.reason) == (402, b"Nicht \xc3\xbcblich")
    assert reader.headers[:-1] == [
        ("x-empty", "X-Empty", ""),
        ("x-spelled", "x-Spelled", "\udce9"),
        ("x-twice", "X-Twice", "1"),
        ("x-twice", "X-Twice", "2"),
    ]


def test_headers_of_interim_answers_and_trailers_are_not_those_of_the_answer():
    interim = b"HTTP/1.1 103 Early Hints\r\nX-Interim: 1\r\n\r\n"
    reader = read(interim + CHUNKED + b"0\r\nX-Trailer: 1\r\n\r\n")
    assert reader.headers == [("transfer-encoding", "Transfer-Encoding", "chunked")]


def test_a_body_that_ends_with_the_connection():
    reader = read(OK + b"\r\nhello")
    assert not reader.is_done
    assert reader.end()
    assert (body(reader), reader.is_done, reader.is_reusable) == (b"hello", True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200",
        OK + b"Content-Length: 5\r\n\r\nhell",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
    ],
)
def test_what_breaks_off_is_not_whole(data):
    assert not read(data).end()


@pytest.mark.parametrize("second", [OK + EMPTY, b"more", b"HTTP/1.1 2"])
def test_what_comes_in_one_piece_behind_an_answer_makes_it_malformed(second):
    with pytest.raises(AnswerMalformed):
        read(OK + b"Content-Length: 2\r\n\r\nab" + second)


@pytest.mark.parametrize("second", [OK + EMPTY, b"more", b"\r\n"])
def test_what_comes_later_ends_the_connection_and_is_no_answer(second):
    reader = read(OK + b"Content-Length: 2\r\n\r\nab")
    reader.feed(second)
    assert (body(reader), reader.is_reusable) == (b"ab", False)


def test_an_answer_to_head_has_no_body_whatever_it_says():
    reader = read(OK + b"Content-Length: 500\r\n\r\n", "HEAD")
    assert (reader.is_done, reader.is_reusable, body(reader)) == (True, False, b"")


def test_one_answer_after_another():
    reader = AnswerReader()
    for number in range(3):
        reader.expect("POST")
        reader.feed(OK + b"X-Number: %d\r\nContent-Length: 1\r\n\r\n%d" % (number, number))
        assert reader.headers[0] == ("x-number", "X-Number", str(number))
        assert (body(reader), reader.is_reusable) == (b"%d" % number, True)
        reader.state = State.IDLE
    reader.feed(b"H")
    assert not reader.is_reusable


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.data())
def test_it_is_read_alike_however_it_arrives(pieces, data):
    """Whatever the body, and wherever the network cuts: the same body comes out."""
    wire = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reader = AnswerReader()
    reader.expect("GET")
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        if start < end:
            reader.feed(wire[start:end])
    assert (body(reader), reader.is_done, reader.is_reusable) == (b"".join(pieces), True, True)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_garbage_is_malformed_or_waits_for_more_and_never_anything_else(garbage, rest):
    reader = AnswerReader()
    reader.expect("GET")
    try:
        reader.feed(garbage)
        reader.feed(rest)
    except AnswerMalformed:
        return
    assert reader.state is State.HEAD
