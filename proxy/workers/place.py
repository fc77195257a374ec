"""What a worker has to know of the whole that it is a part of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """One worker's place. `ports`: what each listener is bound to, by its key; `sha256`: of the configuration.

    `restarted`: it takes the place of one that ended, and others serve. `merged` renders the metrics of all workers.
    """

    number: int
    ports: Mapping[str, int]
    sha256: str
    restarted: bool
    merged: Callable[[], Awaitable[bytes]]


def own_key(route: str) -> str:
    """Return the key of the port of a route's own, which is never that of a listener."""
    return f"outbound.{route}"
