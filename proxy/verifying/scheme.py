"""What every scheme does, and the webhook that it is done to."""

from __future__ import annotations

import base64
import binascii
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field

from proxy.hosts import HostPort
from proxy.rewrite.message import Headers
from proxy.signing.macs import same
from proxy.signing.scheme import header_values
from proxy.verifying.errors import WebhookForged, WebhookMalformed, WebhookStale, WebhookUnsigned


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as it came: `target` is path and query, `body` the bytes before anything was undone."""

    method: str
    target: str = field(repr=False)
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)

    def only(self, name: str) -> str:
        """Return the value of a header that has to be there once; raises WebhookUnsigned or WebhookMalformed."""
        values = header_values(self.headers, name)
        if not values:
            raise WebhookUnsigned
        if len(values) > 1 or not values[0]:
            raise WebhookMalformed
        return values[0]


@dataclass(frozen=True, slots=True)
class CertificateAt:
    """Where the certificate is that a webhook says it was signed with: a host that the configuration names."""

    host: HostPort
    path: str


class Verifier(ABC):
    """One way to tell that a webhook comes from the gateway."""

    timed = True
    """Whether signatures say when they were made, so that old ones can be told."""
    asks = False
    """Whether the gateway asks with a GET whether it reached the right place."""
    accepted = ""
    """What the gateway wants to read when its webhook was taken."""

    @property
    def signature_headers(self) -> frozenset[str]:
        """The lower-case names of the headers that say nothing any more once a byte of the body is changed."""
        return frozenset()

    @abstractmethod
    def verify(self, hook: Hook, now: float, certificate: bytes = b"") -> str:
        """Return what the event is known by, from what was signed; `now` is Unix time in seconds.

        Raises a WebhookRejected. `certificate` is what stood at `certificate_at`.
        """

    def certificate_at(self, hook: Hook, now: float) -> CertificateAt | None:  # noqa: ARG002
        """Return where the certificate is that `verify` needs, if it does; raises a WebhookRejected."""
        return None

    def challenge(self, hook: Hook) -> str | None:  # noqa: ARG002
        """Return the answer if this is no webhook but a gateway that asks whether it reached the right place."""
        return None


def named(event: str) -> str:
    """Return what an event is known by that has an id."""
    return f"id:{event}"


def digest_of(signed: bytes) -> str:
    """Return what an event is known by that has no id."""
    return f"sha256:{hashlib.sha256(signed).hexdigest()}"


def check_window(made: float, now: float, window: float) -> None:
    """Raise WebhookStale if a signature was made more than `window` seconds before or after now."""
    if not abs(now - made) <= window:
        raise WebhookStale


def check_any(expected: Iterable[str], given: Iterable[str]) -> None:
    """Raise WebhookForged unless one of the given signatures is expected. All are compared, each in constant time."""
    given = tuple(given)
    matches = [same(one, other) for one in expected for other in given]
    if not any(matches):
        raise WebhookForged


def decoded(text: str) -> bytes:
    """Return the bytes of base64; none if it could be written in another way, too."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    return found if base64.b64encode(found).decode() == text else b""
