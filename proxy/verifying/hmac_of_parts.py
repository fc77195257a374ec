"""An HMAC in a header over parts of the webhook, as many gateways have made up for themselves.

What is signed can be read in one way only: a piece of one part can never become a piece of its neighbour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from proxy.signing.macs import mac, to_bytes
from proxy.verifying.errors import WebhookMalformed
from proxy.verifying.picking import Pick
from proxy.verifying.scheme import Hook, Verifier, check_any, check_window, digest_of, named

TEXT, HEADER = "text:", "header:"
PLAIN = ("body", "timestamp", "url")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
# Of a fixed length, so that digits of a body behind it are no digits of the time.
_SECONDS = re.compile(r"[0-9]{10}", re.ASCII)
_MILLISECONDS = re.compile(r"[0-9]{13}", re.ASCII)


@dataclass(frozen=True, slots=True)
class HmacWebhook(Verifier):
    """`parts`: those of PLAIN, `header:NAME`, `text:LITERAL`. `timestamp` names the header with the time, in `unit`:
    seconds, milliseconds or iso8601. `url` is the public one. `id` says what an event is known by.
    """

    secrets: tuple[bytes, ...] = field(repr=False)
    header: str
    parts: tuple[str, ...] = ("body",)
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    timestamp: str | None = None
    unit: str = "seconds"
    url: str | None = None
    id: Pick | None = None
    window: float = 300

    @property
    def signature_headers(self) -> frozenset[str]:
        return frozenset({self.header.lower()})

    @property
    def timed(self) -> bool:  # type: ignore[override]
        return self.timestamp is not None

    def verify(self, hook: Hook, now: float, certificate: bytes = b"") -> str:  # noqa: ARG002
        given = hook.only(self.header)
        if self.encoding == "base64url":
            given = given.rstrip("=")
        signed = b"".join(self._bytes(number, hook) for number in range(len(self.parts)))
        expected = (self.prefix + mac(secret, signed, self.algorithm, self.encoding) for secret in self.secrets)
        check_any(expected, [given])
        if self.timestamp is not None:
            check_window(moment(hook.only(self.timestamp), self.unit), now, self.window)
        event = self.id.of(hook.headers, hook.body) if self.id is not None else None
        return named(event) if event is not None else digest_of(signed)

    def _bytes(self, number: int, hook: Hook) -> bytes:
        part = self.parts[number]
        if part == "body":
            return hook.body
        if part.startswith(TEXT):
            return part.removeprefix(TEXT).encode()
        if part == "url":
            return self._public_url(hook).encode()
        name = self.timestamp or "" if part == "timestamp" else part.removeprefix(HEADER)
        value = hook.only(name)
        if part == "timestamp":
            moment(value, self.unit)
        before, after = self._beside(number)
        # Also where the last characters of the value and the text begin another one: `a:` before `::`.
        if (before and before in value) or (after and (value + after).find(after) != len(value)):
            raise WebhookMalformed
        return to_bytes(value)

    def _beside(self, number: int) -> tuple[str, str]:
        """Return the literals before and after a part, empty where there is none."""
        beside = (
            self.parts[number - 1] if number else "",
            self.parts[number + 1] if number + 1 < len(self.parts) else "",
        )
        before, after = (part.removeprefix(TEXT) if part.startswith(TEXT) else "" for part in beside)
        return before, after

    def _public_url(self, hook: Hook) -> str:
        """Return the public URL; raises WebhookMalformed if the webhook came with another query than it has."""
        url = self.url or ""
        if hook.target.partition("?")[2] != urlsplit(url).query:
            raise WebhookMalformed
        return url


def moment(text: str, unit: str) -> float:
    """Return the Unix time of a timestamp; raises WebhookMalformed."""
    if unit == "seconds" and _SECONDS.fullmatch(text):
        return float(text)
    if unit == "milliseconds" and _MILLISECONDS.fullmatch(text):
        return float(text) / 1000
    if unit == "iso8601" and _ISO.fullmatch(text):
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            pass
    raise WebhookMalformed
