"""Hosts with ports, as in the configuration, in CONNECT and in Host headers: one exact spelling each. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

HTTPS_PORT = 443
DEFAULT_PORTS = {"http": 80, "https": HTTPS_PORT}
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
# What the last label of an IPv4 address looks like to some resolver: 127.1, 0x7f000001.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


class HostPort(NamedTuple):
    """`host` is a lower-case ASCII name, or an address in its shortest form without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return shown if self.port == HTTPS_PORT else f"{shown}:{self.port}"

    @classmethod
    def parse(cls, text: str, *, default_port: int | None = None) -> HostPort:
        """Read `host:port`; raises ValueError, which shows nothing of the text, if it is not exactly that."""
        host, _, port = text.rpartition(":")
        if default_port is not None and (not host or text.endswith("]")):
            host, port = text, str(default_port)
        if not _PORT.fullmatch(port) or int(port) > 65535:
            raise ValueError("a port is a number from 1 to 65535")
        return cls(_host(host), int(port))


def without_default_port(scheme: str, authority: str) -> str:
    """Return host and port, without the port where it is the scheme's."""
    return authority.removesuffix(f":{DEFAULT_PORTS[scheme]}")


def _host(text: str) -> str:
    lower = text.lower()
    if lower.startswith("[") and lower.endswith("]"):
        address = _address(lower[1:-1], ipaddress.IPv6Address)
    elif _NUMBER.fullmatch(lower.rpartition(".")[2]):
        address = _address(lower, ipaddress.IPv4Address)
    else:
        if not text.isascii() or len(lower) > 253 or not _NAME.fullmatch(lower):
            raise ValueError("a host is a name of letters, digits, dashes and dots, or an address (IPv6 in brackets)")
        return lower
    return address


def _address(text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> str:
    try:
        # A zone (%eth0) would let one address be spelled in many ways.
        address = None if "%" in text else str(kind(text))
    except ValueError:
        address = None
    if address is None:
        raise ValueError("a host that looks like an address has to be one")
    return address


def origin(text: str) -> str:
    """Return an origin as browsers write it (RFC 6454): `scheme://host`, with a port where it is not the scheme's.

    Raises ValueError, which shows nothing of the text, for anything else than scheme, host and port.
    """
    scheme, separator, rest = text.partition("://")
    port = DEFAULT_PORTS.get(scheme.lower())
    if not separator or port is None:
        raise ValueError("an origin is https://HOST or https://HOST:PORT; http:// for pages of one's own machine")
    if set(rest.removesuffix("/")) & set("/?#@*"):
        raise ValueError(
            "an origin has no path, no user and no wildcard: name each as https://HOST or https://HOST:PORT"
        )
    where = HostPort.parse(rest.removesuffix("/"), default_port=port)
    shown = f"[{where.host}]" if ":" in where.host else where.host
    return f"{scheme.lower()}://{shown}" + (f":{where.port}" if where.port != port else "")
