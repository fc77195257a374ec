"""What each route trusts, shows and waits for, compiled."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from proxy.config import Config
from proxy.config.upstreams import BreakerConfig, RetryConfig, TimeoutConfig, UpstreamConfig
from proxy.errors import ConfigInvalid
from proxy.upstream.shown import Shown


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """How a route treats its upstream."""

    tls: ssl.SSLContext | None
    shown: Shown
    timeouts: TimeoutConfig
    retries: RetryConfig
    breaker: BreakerConfig
    max_in_flight: int

    @classmethod
    def compile(cls, route: UpstreamConfig, config: Config, name: str) -> UpstreamSettings:
        """Prepare a route; raises ConfigInvalid if its certificates cannot be used."""
        tls = upstream_tls(route, config, name)
        return cls(tls, Shown(), route.timeouts, route.retries, route.breaker, route.max_in_flight)


def upstream_tls(route: UpstreamConfig, config: Config, name: str) -> ssl.SSLContext | None:
    """Load what the route `name` trusts and shows; raises ConfigInvalid if it cannot be used."""
    if route.upstream_url.scheme != "https":
        return None
    try:
        context = ssl.create_default_context(cafile=config.resolve(route.ca) if route.ca else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.keylog_filename = None  # type: ignore[assignment]  # whatever SSLKEYLOGFILE says
        if route.client_cert is not None and route.client_key is not None:
            context.load_cert_chain(config.resolve(route.client_cert), config.resolve(route.client_key))
    except (OSError, ssl.SSLError):
        raise ConfigInvalid(
            file=str(config.file), key=f"route {name}", problem="ca, client_cert or client_key cannot be used"
        ) from None
    return context
