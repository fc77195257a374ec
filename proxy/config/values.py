"""The values of a configuration: what a name, a path, a selector, a URL, a reference to a secret may be."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from proxy.hosts import HTTPS_PORT, HostPort, origin
from proxy.rewrite.selectors import Selector
from proxy.secrets import REFERENCE, check_local, check_reference
from vault.kinds import KINDS

SecretReference = Annotated[
    str, AfterValidator(check_reference), WithJsonSchema({"type": "string", "pattern": REFERENCE})
]
LocalReference = Annotated[
    str, AfterValidator(check_local), WithJsonSchema({"type": "string", "pattern": "^(env|file):.+"})
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Seconds = Annotated[float, Field(gt=0, le=86400)]


def _check_kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"unknown kind; known are {', '.join(sorted(KINDS))}")
    return name


def _check_selector(text: str) -> str:
    Selector.parse(text)
    return text


_SEGMENT = r"[A-Za-z0-9._~!$&'()*+,;=:@-]+"
_PATH = re.compile(rf"/(?:{_SEGMENT}(?:/{_SEGMENT})*/?)?", re.ASCII)


def _check_path(text: str) -> str:
    # Spelled as requests are compared with it: an encoded or a doubled character would never match.
    if not _PATH.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise ValueError("a path begins with / and is made of plain names; no %, //, dot segments, query or fragment")
    return text


def split_url(text: str) -> SplitResult:
    """Split a URL; Python's own messages would quote it, and there may be a password in it."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        url = None
    if url is None:
        raise ValueError("it is not a URL")
    return url


def _check_upstream(text: str) -> str:
    url = split_url(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("an upstream is an http:// or https:// URL")
    if url.username or url.password or url.query or url.fragment:
        raise ValueError("an upstream URL has no user, query or fragment")
    return text


_is_reference = re.compile(REFERENCE).match
# What libpq and asyncpg take from the query of a URL and is a secret.
_SECRET_OPTIONS = {"password", "sslpassword", "oauth_client_secret"}


def _check_database_url(text: str) -> str:
    if _is_reference(text):
        return check_reference(text)
    if split_url(text).scheme not in ("postgres", "postgresql"):
        raise ValueError("a database URL begins with postgresql://, or is given as env:NAME or file:PATH")
    url = split_url(text)
    named = {name.lower() for name, _ in parse_qsl(url.query, keep_blank_values=True)}
    if url.password is not None or "password=" in text or named & _SECRET_OPTIONS:
        raise ValueError("a URL with a password has to be given as env:NAME or file:PATH")
    return text


Origin = Annotated[str, AfterValidator(origin), WithJsonSchema({"type": "string", "pattern": "^https?://[^/]+/?$"})]


def _check_network(text: object) -> IPv4Network | IPv6Network:
    network = None
    with suppress(ValueError):
        network = ip_network(str(text), strict=False)
    if network is None or not isinstance(text, str):
        raise ValueError('a network is written "10.0.0.0/8", an address "10.0.0.7"')
    if network.prefixlen == 0:
        raise ValueError("a network of everybody would let everybody say who they are: name the proxies' own")
    return network


Network = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(_check_network),
    WithJsonSchema({"type": "string", "format": "ipv4network"}),
]
DatabaseUrl = Annotated[str, AfterValidator(_check_database_url)]
RoutePath = Annotated[str, AfterValidator(_check_path)]
Upstream = Annotated[str, AfterValidator(_check_upstream)]
KindName = Annotated[str, AfterValidator(_check_kind), WithJsonSchema({"type": "string", "enum": sorted(KINDS)})]
SelectorText = Annotated[
    str, AfterValidator(_check_selector), WithJsonSchema({"type": "string", "pattern": r"^(\$|query:|header:)"})
]


HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]


def _check_slot(text: str) -> str:
    if text in ("bearer", "basic", "basic-password"):
        return text
    if not text.startswith(("header:", "query:", "$")):
        raise ValueError("a slot is bearer, basic, basic-password, header:NAME, query:NAME, or a selector of the body")
    return _check_selector(text)


Slot = Annotated[str, AfterValidator(_check_slot)]


def _check_bind(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("a listener binds to HOST:PORT")
    return text


Bind = Annotated[str, AfterValidator(_check_bind)]


def _check_host(text: str) -> str:
    return str(HostPort.parse(text, default_port=HTTPS_PORT))


ForwardHost = Annotated[str, AfterValidator(_check_host)]


def is_loopback(url: SplitResult) -> bool:
    if url.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(url.hostname or "").is_loopback
    except ValueError:
        return False
