"""Stripe: `Stripe-Signature: t=SECONDS,v1=HEX[,v1=HEX...]`, HMAC-SHA256 over `t.body`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from proxy.signing.macs import mac
from proxy.verifying.errors import WebhookMalformed, WebhookUnsigned
from proxy.verifying.picking import Pick
from proxy.verifying.scheme import Hook, Verifier, check_any, check_window, digest_of, named

HEADER = "Stripe-Signature"
_ITEM = re.compile(r"([a-z][a-z0-9]*)=([^,= ]*)", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MOST = 16
_ID = Pick("$.id")


@dataclass(frozen=True, slots=True)
class Stripe(Verifier):
    secrets: tuple[bytes, ...] = field(repr=False)
    window: float = 300

    @property
    def signature_headers(self) -> frozenset[str]:
        return frozenset({HEADER.lower()})

    def verify(self, hook: Hook, now: float, certificate: bytes = b"") -> str:  # noqa: ARG002
        seconds, signatures = _read(hook.only(HEADER))
        signed = seconds.encode() + b"." + hook.body
        check_any((mac(secret, signed, "sha256", "hex") for secret in self.secrets), signatures)
        check_window(int(seconds), now, self.window)
        event = _ID.of((), hook.body)
        return named(event) if event is not None else digest_of(signed)


def _read(value: str) -> tuple[str, list[str]]:
    items = [_ITEM.fullmatch(each) for each in value.split(",")]
    found = [(item[1], item[2]) for item in items if item is not None]
    times = [text for name, text in found if name == "t"]
    signatures = [text for name, text in found if name == "v1"]
    if len(found) < len(items) or len(items) > _MOST or len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        raise WebhookMalformed
    if not signatures:
        raise WebhookUnsigned
    if not all(map(_SIGNATURE.fullmatch, signatures)):
        raise WebhookMalformed
    return times[0], signatures
