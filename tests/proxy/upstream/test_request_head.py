"""Heads of requests: one framing, one Host, and no way for a value to become a line of its own."""

from __future__ import annotations

import pytest

from proxy.upstream.request_head import request_head
from proxy.wire.heads import HeadInvalid, chunk

HEADERS = (("X-A", "1"), ("x-a", "2"))


def head(method: str = "POST", target: str = "/v1/charges?a=b", headers=HEADERS, length: int | None = 3) -> str:
    return request_head(method, target, "gateway.example", headers, length=length).decode("utf-8", "surrogateescape")


def test_lines_in_order_and_as_they_were_spelled():
    expected = [
        "POST /v1/charges?a=b HTTP/1.1",
        "Host: gateway.example",
        "X-A: 1",
        "x-a: 2",
        "Content-Length: 3",
        "",
        "",
    ]
    assert head().split("\r\n") == expected


def test_a_host_that_is_there_stays():
    assert head(headers=(("host", "other.example"),)).count("ost: ") == 1


@pytest.mark.parametrize(
    "given", ["Content-Length: 99", "content-length: 3, 3", "Transfer-Encoding: chunked", "TRANSFER-encoding: x"]
)
def test_the_framing_is_ours(given):
    name, value = given.split(": ")
    lines = head(headers=((name, value),)).split("\r\n")
    assert lines[2:] == ["Content-Length: 3", "", ""]


def test_a_body_that_streams_has_the_length_that_was_said_or_goes_in_chunks():
    assert "Content-Length: 7\r\n" in head(headers=(("Content-Length", "7"),), length=None)
    assert "Transfer-Encoding: chunked\r\n" in head(headers=(), length=None)
    assert chunk(b"x" * 31) == b"1f\r\n" + b"x" * 31 + b"\r\n"


@pytest.mark.parametrize(("method", "said"), [("GET", False), ("HEAD", False), ("POST", True), ("DELETE", True)])
def test_no_body(method, said):
    assert ("Content-Length: 0" in head(method, length=0)) is said


@pytest.mark.parametrize(
    "value", ["a\r\nX-B: 2", "a\nX-B: 2", "a\rX-B: 2", "a\r\n\r\nGET / HTTP/1.1", "a\0b"], ids=ascii
)
def test_what_would_be_a_line_of_its_own_is_never_sent(value):
    with pytest.raises(HeadInvalid):
        head(headers=(("X-A", value),))
    with pytest.raises(HeadInvalid):
        head(headers=((f"X-A{value}", "1"),))
    with pytest.raises(HeadInvalid):
        head(target=f"/{value}")


@pytest.mark.parametrize(("method", "target"), [("GET", "/a b"), ("GET /x", "/"), ("", "/ HTTP/1.1")])
def test_nor_is_a_request_line_of_other_than_three_words(method, target):
    with pytest.raises(HeadInvalid):
        head(method, target)


def test_bytes_that_are_no_utf8_stay_as_they_came():
    value = b"\xff\xe9".decode("utf-8", "surrogateescape")
    assert b"X-A: \xff\xe9\r\n" in request_head("GET", "/", "h", (("X-A", value),), length=0)
