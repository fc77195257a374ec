from __future__ import annotations

import pytest

from proxy.edge.headers import end_to_end


def travelling(*headers: tuple[str, str], drop=()) -> list[tuple[str, str]]:
    return list(end_to_end([(name.lower(), name, value) for name, value in headers], drop).items())


def test_headers_travel_on_in_order_and_spelled_as_they_came():
    headers = [("X-", "1"), ("x-A", "2"), ("X-", "3"), ("Accept", "*/*"), ("X-Empty", "")]
    assert travelling(*headers) == headers


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "proxy-authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "TRANSFER-ENCODING",
        "Upgrade",
    ],
)
def test_what_belongs_to_one_hop_stays_behind(name):
    assert travelling((name, "x"), ("X-A", "1")) == [("X-A", "1")]


def test_what_connection_names_stays_behind_too():
    headers = [("connection", "close, X-Secret ,x-other"), ("x-secret", "1"), ("X-Other", "2"), ("X-A", "3")]
    assert travelling(*headers, ("Connection", "X-Third"), ("X-Third", "4")) == [("X-A", "3")]


def test_what_the_caller_drops_stays_behind_in_any_spelling():
    headers = [("Host", "x"), ("HOST", "y"), ("Expect", "z"), ("X-A", "1")]
    assert travelling(*headers, drop={"host", "expect"}) == [("X-A", "1")]
