"""The head of a CONNECT: what is not plainly one is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.edge.connect import Connect, parse_connect
from proxy.errors import ConnectMalformed, ConnectRequired
from proxy.hosts import HostPort


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, *headers, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("line", "headers", "expected"),
    [
        ("CONNECT a.example:443 HTTP/1.1", [], Connect(HostPort("a.example", 443), [], True)),
        ("CONNECT A.Example:8443 HTTP/1.1", [], Connect(HostPort("a.example", 8443), [], True)),
        ("CONNECT a.example:443 HTTP/1.0", [], Connect(HostPort("a.example", 443), [], False)),
        ("CONNECT a.example:443 HTTP/1.1", ["Connection: close"], Connect(HostPort("a.example", 443), [], False)),
        (
            "CONNECT a.example:443 HTTP/1.1",
            ["Proxy-Connection: x, Close"],
            Connect(HostPort("a.example", 443), [], False),
        ),
        ("CONNECT [::1]:443 HTTP/1.1", ["Host: [::1]"], Connect(HostPort("::1", 443), [], True)),
        ("CONNECT [0:0:0::1]:443 HTTP/1.1", ["Host: [::1]:443"], Connect(HostPort("::1", 443), [], True)),
        ("CONNECT 192.0.2.1:443 HTTP/1.1", ["Host: 192.0.2.1"], Connect(HostPort("192.0.2.1", 443), [], True)),
        (
            "CONNECT a.example:443 HTTP/1.1",
            ["Host: A.EXAMPLE", "X:", "Content-Length: 0", "proxy-authorization:  Bearer k \t"],
            Connect(HostPort("a.example", 443), ["Bearer k"], True),
        ),
        (
            "CONNECT a.example:443 HTTP/1.1",
            ["Proxy-Authorization: a", "Proxy-Authorization: b"],
            Connect(HostPort("a.example", 443), ["a", "b"], True),
        ),
    ],
)
def test_what_a_connect_says(line, headers, expected):
    assert parse_connect(head(line, *headers)) == expected


def test_what_came_is_not_shown():
    assert "plk_x" not in repr(parse_connect(head("CONNECT a:1 HTTP/1.1", "Proxy-Authorization: Bearer plk_x")))


MALFORMED = [
    "",
    "CONNECT",
    "CONNECT a.example:443",
    "CONNECT a.example:443 HTTP/2.0",
    "CONNECT a.example:443 HTTP/1.2",
    "CONNECT a.example:443 HTTP/1.1 ",
    " CONNECT a.example:443 HTTP/1.1",
    "CONNECT  a.example:443 HTTP/1.1",
    "CONNECT\ta.example:443 HTTP/1.1",
    "CONNECT a.example:443 http/1.1",
    "CONNECT a.example HTTP/1.1",
    "CONNECT a.example: HTTP/1.1",
    "CONNECT :443 HTTP/1.1",
    "CONNECT a.example:0 HTTP/1.1",
    "CONNECT a.example:0443 HTTP/1.1",
    "CONNECT a.example:65536 HTTP/1.1",
    "CONNECT a.example:99999999999 HTTP/1.1",
    "CONNECT a.example:-1 HTTP/1.1",
    "CONNECT a.example:+443 HTTP/1.1",
    "CONNECT a.example:4_43 HTTP/1.1",
    "CONNECT a.example:443:443 HTTP/1.1",
    "CONNECT user@a.example:443 HTTP/1.1",
    "CONNECT user:secret@a.example:443 HTTP/1.1",
    "CONNECT https://a.example:443 HTTP/1.1",
    "CONNECT a.example:443/ HTTP/1.1",
    "CONNECT /a.example:443 HTTP/1.1",
    "CONNECT a.example:443?x HTTP/1.1",
    "CONNECT a.example:443#x HTTP/1.1",
    "CONNECT a.example.:443 HTTP/1.1",
    "CONNECT .a.example:443 HTTP/1.1",
    "CONNECT a..example:443 HTTP/1.1",
    "CONNECT -a.example:443 HTTP/1.1",
    "CONNECT a%2eexample:443 HTTP/1.1",
    "CONNECT *.example:443 HTTP/1.1",
    "CONNECT *:443 HTTP/1.1",
    "CONNECT a_b!.example:443 HTTP/1.1",
    "CONNECT b\u00fccher.example:443 HTTP/1.1",
    "CONNECT ::1:443 HTTP/1.1",
    "CONNECT [::1:443 HTTP/1.1",
    "CONNECT ::1]:443 HTTP/1.1",
    "CONNECT [::1] HTTP/1.1",
    "CONNECT [::1%25lo]:443 HTTP/1.1",
    "CONNECT [::1%lo]:443 HTTP/1.1",
    "CONNECT [v1.x]:443 HTTP/1.1",
    "CONNECT [127.0.0.1]:443 HTTP/1.1",
    "CONNECT [a.example]:443 HTTP/1.1",
    "CONNECT 127.1:443 HTTP/1.1",
    "CONNECT 2130706433:443 HTTP/1.1",
    "CONNECT 0x7f000001:443 HTTP/1.1",
    "CONNECT 0x7f.1:443 HTTP/1.1",
    "CONNECT 127.0.0.01:443 HTTP/1.1",
    "CONNECT 127.0.0.256:443 HTTP/1.1",
    "CONNECT 1.2.3.4.5:443 HTTP/1.1",
    f"CONNECT {'a' * 64}.example:443 HTTP/1.1",
    f"CONNECT {'a.' * 127}example:443 HTTP/1.1",
    "CONNECT a\x00.example:443 HTTP/1.1",
    "CONNECT a.example\n:443 HTTP/1.1",
    "CONNECT a.example:443 HTTP/1.1\n",
    "CONNECT a.example:443 HTTP/1.1\r",
]


@pytest.mark.parametrize("line", MALFORMED)
def test_a_malformed_line_is_refused(line):
    with pytest.raises(ConnectMalformed) as caught:
        parse_connect(head(line))
    assert "example" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        ["X"],
        [": x"],
        ["X : x"],
        [" X: x"],
        ["X: a", " folded"],
        ["X: a\nY: b"],
        ["X: a\rY: b"],
        ["X: a\x00"],
        ["X\xff: a"],
        ["Host: b.example"],
        ["Host: b.example:443"],
        ["Host:"],
        ["Host: a.example", "Host: a.example"],
        ["Host: a.example:x"],
        ["Content-Length: 5"],
        ["Content-Length: 0, 0"],
        ["content-length: +0"],
        ["Transfer-Encoding: chunked"],
        ["Transfer-Encoding: identity"],
        ["Expect: 100-continue"],
        ["Upgrade: h2c"],
    ],
)
def test_malformed_headers_are_refused(headers):
    with pytest.raises(ConnectMalformed):
        parse_connect(head("CONNECT a.example:443 HTTP/1.1", *headers))


@pytest.mark.parametrize(
    "line", ["GET / HTTP/1.1", "POST http://a/ HTTP/1.0", "connect a:1 HTTP/1.1", "PRI * HTTP/1.1"]
)
def test_other_methods_are_told_so(line):
    with pytest.raises(ConnectRequired):
        parse_connect(head(line))


@given(st.binary(max_size=300) | st.text(st.sampled_from("CONET aex.:[]@/14\r\n\tHP%"), max_size=60).map(str.encode))
def test_any_bytes_are_a_connect_or_refused(data):
    for raw in (data, b"CONNECT " + data + b" HTTP/1.1", b"CONNECT a:1 HTTP/1.1\r\n" + data):
        try:
            found = parse_connect(raw + b"\r\n\r\n")
        except (ConnectMalformed, ConnectRequired):
            continue
        assert raw.startswith(b"CONNECT ")
        assert HostPort.parse(f"{found.to}", default_port=443) == found.to


@given(st.text(max_size=40))
def test_a_host_has_one_spelling(text):
    try:
        found = HostPort.parse(text, default_port=443)
    except ValueError:
        return
    assert HostPort.parse(str(found), default_port=443) == found
    assert str(found).isascii()
    assert str(found) == str(found).lower()
