"""Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`, over `id.timestamp.body`.

`v1` is HMAC-SHA256 with a secret `whsec_...`, `v1a` is Ed25519 with a public key `whpk_...`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.rewrite.message import Headers
from proxy.signing.macs import mac, same
from proxy.verifying.errors import WebhookForged, WebhookMalformed
from proxy.verifying.scheme import Hook, Verifier, check_window, decoded, named
from vault.signatures import is_ed25519

SECRET, PUBLIC = "whsec_", "whpk_"  # how they begin
# Without dots: they part what is signed, and a piece of the body could become one of the id.
_ID = re.compile(r"[!-\-/-~]{1,256}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE = re.compile(r"([a-z0-9]{1,8}),([A-Za-z0-9+/]{1,512}={0,2})", re.ASCII)
_MOST = 16


def secret_bytes(text: str) -> bytes:
    """Return what a `whsec_` secret, a `whpk_` key, or base64 without either stands for; raises ValueError."""
    try:
        found = base64.b64decode(text.removeprefix(SECRET).removeprefix(PUBLIC), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) < 16 or (text.startswith(PUBLIC) and len(found) != 32):
        raise ValueError("a secret is whsec_ and base64 of 24 to 64 bytes; a public key is whpk_ and base64 of 32")
    return found


@dataclass(frozen=True, slots=True)
class StandardWebhooks(Verifier):
    """`keys`: Ed25519 public keys, 32 bytes each. `prefix` is that of the headers' names."""

    secrets: tuple[bytes, ...] = field(repr=False)
    keys: tuple[bytes, ...] = ()
    window: float = 300
    prefix: str = "webhook-"

    @property
    def signature_headers(self) -> frozenset[str]:
        return frozenset({f"{self.prefix}signature"})

    def verify(self, hook: Hook, now: float, certificate: bytes = b"") -> str:  # noqa: ARG002
        event, seconds = hook.only(f"{self.prefix}id"), hook.only(f"{self.prefix}timestamp")
        signatures = hook.only(f"{self.prefix}signature").split(" ")
        if not _ID.fullmatch(event) or not _SECONDS.fullmatch(seconds) or len(signatures) > _MOST:
            raise WebhookMalformed
        given = [found.groups() for each in signatures if (found := _SIGNATURE.fullmatch(each))]
        if len(given) < len(signatures):
            raise WebhookMalformed
        signed = f"{event}.{seconds}.".encode() + hook.body
        if not self._matches(signed, given):
            raise WebhookForged
        check_window(int(seconds), now, self.window)
        return named(event)

    def _matches(self, signed: bytes, given: Sequence[Sequence[str]]) -> bool:
        macs = [mac(secret, signed, "sha256", "base64") for secret in self.secrets]
        matches = [same(one, text) for version, text in given if version == "v1" for one in macs]
        signatures = [decoded(text) for version, text in given if version == "v1a"]
        matches += [is_ed25519(key, signed, each) for key in self.keys for each in signatures]
        return any(matches)


def signed_headers(event: str, seconds: int, body: bytes, secrets: Sequence[bytes]) -> Headers:
    """Return the headers of Standard Webhooks for a body that Panless sends; every secret signs."""
    signed = f"{event}.{seconds}.".encode() + body
    signatures = " ".join(f"v1,{mac(secret, signed, 'sha256', 'base64')}" for secret in secrets)
    return (("webhook-id", event), ("webhook-timestamp", str(seconds)), ("webhook-signature", signatures))
