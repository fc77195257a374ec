"""Which certificate an upstream shows: noted at each TLS handshake, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from vault.frozen import frozen


@dataclass(slots=True)
class Shown:
    """The SHA-256 (hex) of the certificate in the newest handshake with an upstream; None before the first."""

    certificate: str | None = None


@frozen
class Expected:
    """The certificate that was recorded, and whom to tell of another one before anything is sent."""

    certificate: str
    told: Callable[[str], Coroutine[Any, Any, None]]
