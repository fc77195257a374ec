"""PayPal: RSA-SHA256 over `transmission id|time|webhook id|CRC-32 of the body`, by a certificate that is fetched.

The certificate is fetched from configured hosts only, and counts only if its chain ends at a trusted root and it was
made out to one of the configured names.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxy.hosts import HTTPS_PORT, HostPort
from proxy.verifying.errors import WebhookForged, WebhookMalformed
from proxy.verifying.hmac_of_parts import moment
from proxy.verifying.scheme import CertificateAt, Hook, Verifier, check_window, decoded, named
from vault.signatures import is_rsa_sha256

# Nothing that stands for something else in a URL: no user, no port with letters, no query, no dots in the path.
_URL = re.compile(
    r"https://([A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?)(/v1/notifications/certs/[A-Za-z0-9_-]{1,128})", re.ASCII
)
_ID = re.compile(r"[A-Za-z0-9-]{8,64}", re.ASCII)
_ALGORITHM = "SHA256withRSA"


@dataclass(frozen=True, slots=True)
class PayPal(Verifier):
    """`names`: whom the certificate has to be made out to; `roots`: PEM of trusted authorities."""

    webhook_id: str
    hosts: frozenset[HostPort]
    names: tuple[str, ...]
    roots: bytes = field(repr=False)
    window: float = 300

    @property
    def signature_headers(self) -> frozenset[str]:
        return frozenset({"paypal-transmission-sig"})

    def certificate_at(self, hook: Hook, now: float) -> CertificateAt:
        self._made(hook, now)
        url = _URL.fullmatch(hook.only("paypal-cert-url"))
        if url is None:
            raise WebhookForged
        try:
            host = HostPort.parse(url[1], default_port=HTTPS_PORT)
        except ValueError:
            host = None
        if host not in self.hosts:
            raise WebhookForged
        return CertificateAt(host, url[2])

    def verify(self, hook: Hook, now: float, certificate: bytes = b"") -> str:
        event = hook.only("paypal-transmission-id")
        signature = hook.only("paypal-transmission-sig")
        if hook.only("paypal-auth-algo") != _ALGORITHM or not _ID.fullmatch(event):
            raise WebhookMalformed
        made = hook.only("paypal-transmission-time")
        self._made(hook, now)
        signed = f"{event}|{made}|{self.webhook_id}|{zlib.crc32(hook.body)}".encode()
        if not self._matches(certificate, signed, _decoded(signature), datetime.fromtimestamp(now, UTC)):
            raise WebhookForged
        return named(event)

    def _matches(self, chain: bytes, signed: bytes, signature: bytes, at: datetime) -> bool:
        return any(is_rsa_sha256(chain, name, self.roots, at, data=signed, signature=signature) for name in self.names)

    def _made(self, hook: Hook, now: float) -> None:
        check_window(moment(hook.only("paypal-transmission-time"), "iso8601"), now, self.window)


def _decoded(text: str) -> bytes:
    found = decoded(text)
    if not found:
        raise WebhookMalformed
    return found
