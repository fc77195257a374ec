"""What of a route's upstream is the same for each of its requests, worked out once."""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

from proxy.hosts import DEFAULT_PORTS
from proxy.routes import Route
from proxy.upstream.pool import Place
from proxy.upstream.settings import UpstreamSettings
from proxy.upstream.state import Upstream


class Target:
    """Where the requests of a route go, and how. `host` is what they have as Host."""

    __slots__ = ("host", "place", "route", "settings", "upstream")

    def __init__(self, route: Route, settings: UpstreamSettings, upstream: Upstream) -> None:
        self.route = route
        self.settings = settings
        self.upstream = upstream
        host, port = _address(route.scheme, route.authority)
        self.place = Place(host, port, settings.tls)
        self.host = _host_header(route.scheme, route.authority)


@cache
def _address(scheme: str, authority: str) -> tuple[str, int]:
    """Return an upstream's host, as resolvers and certificates spell it, and its port."""
    url = urlsplit(f"{scheme}://{authority}")
    host = url.hostname or ""
    return (host if host.isascii() else host.encode("idna").decode()), url.port or DEFAULT_PORTS[scheme]


def _host_header(scheme: str, authority: str) -> str:
    host, port = _address(scheme, authority)
    shown = f"[{host}]" if ":" in host else host
    return shown if port == DEFAULT_PORTS[scheme] else f"{shown}:{port}"
