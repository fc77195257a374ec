"""The models of an upstream and how it is treated: what is trusted, time-outs, retries, the circuit breaker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, model_validator

from proxy.config.base import Model
from proxy.config.values import Seconds, Upstream, is_loopback

Attempts = Annotated[int, Field(ge=1, le=20)]
Share = Annotated[float, Field(gt=0, le=1)]
InFlight = Annotated[int, Field(ge=1, le=100_000)]


class TimeoutConfig(Model):
    """In seconds. `whole` is for all attempts together, and until the answer's last byte."""

    connect: Seconds = 5
    tls: Seconds = 5
    first_byte: Seconds = 60
    between_bytes: Seconds = 60
    whole: Seconds = 120


class RetryConfig(Model):
    """`attempts` counts the first one. `budget`: so many retries per request, over all of an upstream."""

    attempts: Attempts = 3
    base_seconds: Seconds = 0.1
    max_seconds: Seconds = 5
    deadline_seconds: Seconds = 30
    budget: Share = 0.1


class BreakerConfig(Model):
    """`failures` in a row open the circuit for `open_seconds`; 0: it is never opened."""

    failures: Annotated[int, Field(ge=0, le=10_000)] = 10
    open_seconds: Seconds = 10


class UpstreamConfig(Model):
    """Where requests go, and what is shown and trusted there."""

    upstream: Upstream
    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    plain_http: bool = False
    timeouts: TimeoutConfig = TimeoutConfig()
    retries: RetryConfig = RetryConfig()
    breaker: BreakerConfig = BreakerConfig()
    max_in_flight: InFlight = 256

    @property
    def upstream_url(self) -> SplitResult:
        return urlsplit(self.upstream)

    @model_validator(mode="after")
    def _check_upstream(self) -> UpstreamConfig:
        if self.upstream_url.scheme == "http" and not self.plain_http and not is_loopback(self.upstream_url):
            raise ValueError("upstream: plain http is only for loopback; use https or set plain_http = true")
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("client_cert and client_key go together")
        return self
