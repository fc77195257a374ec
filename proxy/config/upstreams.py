"""The models of how a route treats its upstream: time-outs, retries, the circuit breaker."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from proxy.config.base import Model
from proxy.config.values import Seconds

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
