from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from proxy.edge.headers import check_framing, end_to_end
from proxy.errors import FramingConflict, RequestMalformed


def request(*headers: tuple[str, str]):
    return make_mocked_request("POST", "/", headers=CIMultiDict(headers))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Host", "x"), ("Content-Length", "4")],
        [("Host", "x"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", " Chunked ")],
    ],
)
def test_a_body_that_is_framed_in_one_way_is_taken(headers):
    check_framing(request(*headers))


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([("Transfer-Encoding", "chunked"), ("Content-Length", "4")], FramingConflict),
        ([("content-length", "4"), ("transfer-encoding", "identity")], FramingConflict),
        ([("Transfer-Encoding", "gzip, chunked")], RequestMalformed),
        ([("Transfer-Encoding", "chunked, chunked")], RequestMalformed),
        ([("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], RequestMalformed),
        ([("Transfer-Encoding", "identity")], RequestMalformed),
        ([("Transfer-Encoding", "xchunked")], RequestMalformed),
        ([("Transfer-Encoding", "")], RequestMalformed),
        ([("Host", "a"), ("Host", "a")], RequestMalformed),
        ([("Host", "a"), ("host", "b")], RequestMalformed),
    ],
)
def test_what_receivers_could_frame_differently_is_refused(headers, error):
    with pytest.raises(error):
        check_framing(request(*headers))


def travelling(*headers: tuple[bytes, bytes], drop=()) -> list[tuple[str, str]]:
    return list(end_to_end(headers, drop).items())


def test_headers_travel_on_in_order_and_spelled_as_they_came():
    headers = [(b"X-b", b"1"), (b"x-A", b"2"), (b"X-b", b"3"), (b"Accept", b"*/*"), (b"X-Empty", b"")]
    assert travelling(*headers) == [(name.decode(), value.decode()) for name, value in headers]


@pytest.mark.parametrize(
    "name",
    [
        b"Connection",
        b"Keep-Alive",
        b"Proxy-Authenticate",
        b"proxy-authorization",
        b"Proxy-Connection",
        b"TE",
        b"Trailer",
        b"TRANSFER-ENCODING",
        b"Upgrade",
    ],
)
def test_what_belongs_to_one_hop_stays_behind(name):
    assert travelling((name, b"x"), (b"X-A", b"1")) == [("X-A", "1")]


def test_what_connection_names_stays_behind_too():
    headers = [(b"connection", b"close, X-Secret ,x-other"), (b"x-secret", b"1"), (b"X-Other", b"2"), (b"X-A", b"3")]
    assert travelling(*headers, (b"Connection", b"X-Third"), (b"X-Third", b"4")) == [("X-A", "3")]


def test_what_the_caller_drops_stays_behind_in_any_spelling():
    headers = [(b"Host", b"x"), (b"HOST", b"y"), (b"Expect", b"z"), (b"X-A", b"1")]
    assert travelling(*headers, drop={b"host", b"expect"}) == [("X-A", "1")]


def test_values_that_are_no_utf_8_come_out_as_the_same_bytes():
    ((_, value),) = travelling((b"X-A", b"caf\xe9 \xff\xc3\xa9"))
    assert value.encode("utf-8", "surrogateescape") == b"caf\xe9 \xff\xc3\xa9"
