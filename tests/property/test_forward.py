"""Any bytes to the forward listener give its answers or a closed connection, never a connection elsewhere."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.harness import configuration
from tests.harness.forward import HOST, LISTEN, routes
from tests.harness.process import serving

CODES = {
    "app_unknown": 407,
    "connect_host_unknown": 403,
    "connect_malformed": 400,
    "connect_required": 405,
    "head_too_large": 431,
}
_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) (.*?)\r\n\r\n", re.DOTALL)


@dataclass
class Target:
    """The listener, and a port that stands for every other place: upstreams, other hosts, the machine itself."""

    address: tuple[str, int]
    elsewhere: socket.socket

    @property
    def port(self) -> int:
        return self.elsewhere.getsockname()[1]

    def send(self, data: bytes) -> bytes:
        with socket.create_connection(self.address, timeout=20) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            received = bytearray()
            try:
                while piece := connection.recv(65536):
                    received += piece
            except ConnectionResetError:
                pass
            return bytes(received)

    def was_reached(self) -> bool:
        try:
            self.elsewhere.accept()
        except BlockingIOError:
            return False
        return True


@pytest.fixture(scope="module")
async def target(tmp_path_factory):
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
        config = configuration.write(
            tmp_path_factory.mktemp("any"), url, url, head=LISTEN, extra=routes(url).replace("8443", "9443")
        )
        async with serving(config) as running:
            host, _, port = running.urls["forward"].rpartition("//")[2].rpartition(":")
            yield Target((host, int(port)), elsewhere)
            assert "Traceback" not in running.log
            assert "connect_failed" not in running.log


hosts = st.sampled_from(
    [HOST, HOST.upper(), "127.0.0.1", "localhost", "[::1]", "gateway.example", f"x@{HOST}", "*", ""]
)
ports = st.sampled_from([":443", ":9443", ":ELSEWHERE", ":80", "", ":0", ":443@127.0.0.1:ELSEWHERE", ":443#"])
targets = st.builds("{}{}".format, hosts, ports) | st.sampled_from(["/", "*", "http://127.0.0.1:ELSEWHERE/"])
methods = st.sampled_from(["CONNECT", "GET", "POST", "connect", "CONNECT ", "PRI", "\r\nCONNECT"])
headers = st.lists(
    st.sampled_from(
        [
            "Host: 127.0.0.1:ELSEWHERE",
            f"Host: {HOST}",
            "Proxy-Authorization: Bearer x",
            "Proxy-Authorization: Basic eDp5",
            "Content-Length: 9",
            "Content-Length: 0",
            "Transfer-Encoding: chunked",
            "Connection: close",
            " folded",
            "X: y\nZ: z",
            "Forwarded: for=127.0.0.1:ELSEWHERE",
        ]
    ),
    max_size=3,
)
after = st.sampled_from(["", "GET / HTTP/1.1\r\nHost: 127.0.0.1:ELSEWHERE\r\n\r\n", "\x16\x03\x01", "\r\n"]) | st.text(
    st.characters(max_codepoint=255), max_size=20
)


@st.composite
def nearly(draw) -> bytes:
    line = f"{draw(methods)} {draw(targets)} HTTP/1.{draw(st.sampled_from('0123'))}"
    return ("\r\n".join([line, *draw(headers), "", ""]) + draw(after)).encode("latin-1")


plain = st.builds("CONNECT {}{} HTTP/1.{}\r\n\r\n".format, hosts, ports, st.sampled_from("01")).map(str.encode)
several = st.lists(nearly() | plain, min_size=1, max_size=3).map(b"".join)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(b"CONNECT 127.0.0.1:ELSEWHERE HTTP/1.1\r\n\r\n")
@example(b"CONNECT localhost:ELSEWHERE HTTP/1.1\r\nHost: localhost:ELSEWHERE\r\n\r\n")
@example(b"GET http://127.0.0.1:ELSEWHERE/ HTTP/1.1\r\nHost: 127.0.0.1:ELSEWHERE\r\n\r\n")
@given(plain | several | st.binary(max_size=200))
def test_any_bytes_get_one_of_our_answers_or_none(target, data):
    received = target.send(data.replace(b"ELSEWHERE", str(target.port).encode()))
    if received:
        for status, head in _ANSWER.findall(received):
            code = re.search(rb"Panless-Error: (\w+)", head)
            if status == b"200":
                assert code is None
            else:
                assert code is not None
                assert CODES[code[1].decode()] == int(status)
        assert _ANSWER.match(received)
        if b"Content-Length" in received:
            assert json.loads(received[received.rindex(b"{") :])["code"] in CODES
    assert not target.was_reached()
