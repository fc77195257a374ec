"""Reading the head of a CONNECT request (RFC 9110, section 9.3.6; RFC 9112, section 3.2.3). Pure: bytes in, values out.

Stricter than a proxy has to be: what is not plainly a CONNECT is refused, so that there is nothing to disagree about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.errors import ConnectMalformed, ConnectRequired
from proxy.hosts import HostPort

HEAD_END = b"\r\n\r\n"
MAX_HEAD_BYTES = 16 * 1024

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
# A CONNECT has no content; what announces some would be read as the beginning of the tunnel.
_CONTENT = {"transfer-encoding", "content-length", "upgrade", "expect"}


@dataclass(frozen=True, slots=True)
class Connect:
    """A CONNECT: where to, the values of Proxy-Authorization, and whether the connection may stay after a refusal."""

    to: HostPort
    authorization: Sequence[str] = field(repr=False)
    stays: bool


def parse_connect(head: bytes) -> Connect:
    """Read a head up to and with its empty line; raises ConnectMalformed or ConnectRequired."""
    line, *rest = head.removesuffix(HEAD_END).split(b"\r\n")
    request = _LINE.fullmatch(line)
    if request is None:
        raise ConnectMalformed
    headers = [_header(each) for each in rest]
    if request[1] != b"CONNECT":
        raise ConnectRequired
    if any(name in _CONTENT and (name, value) != ("content-length", "0") for name, value in headers):
        raise ConnectMalformed
    to = _authority(request[2].decode("ascii"))
    _check_host(to, [value for name, value in headers if name == "host"])
    options = {
        option.strip().lower()
        for name, value in headers
        if name in ("connection", "proxy-connection")
        for option in value.split(",")
    }
    authorization = [value for name, value in headers if name == "proxy-authorization"]
    return Connect(to, authorization, stays=request[3] == b"1" and "close" not in options)


def _header(line: bytes) -> tuple[str, str]:
    found = _HEADER.fullmatch(line)
    if found is None:
        raise ConnectMalformed
    return found[1].decode("ascii").lower(), found[2].decode("latin-1")


def _authority(text: str) -> HostPort:
    try:
        return HostPort.parse(text)
    except ValueError:
        raise ConnectMalformed from None


def _check_host(to: HostPort, given: Sequence[str]) -> None:
    """Refuse a Host that names another host, or two of them. Clients disagree on its port; the line's counts."""
    if len(given) > 1:
        raise ConnectMalformed
    for text in given:
        try:
            host = HostPort.parse(text, default_port=to.port).host
        except ValueError:
            raise ConnectMalformed from None
        if host != to.host:
            raise ConnectMalformed
