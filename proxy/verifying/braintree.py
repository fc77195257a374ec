"""Braintree: a form with `bt_signature` (`PUBLIC_KEY|HEX`, several with `&`) and `bt_payload`.

HMAC-SHA1 over the payload; its key is the SHA-1 of the private key. Braintree first asks with a GET whether it reached
the right place: `bt_challenge` is answered with the HMAC of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from proxy.signing.macs import mac
from proxy.verifying.errors import WebhookForged, WebhookMalformed, WebhookUnsigned
from proxy.verifying.scheme import Hook, Verifier, check_any, digest_of

_CHALLENGE = re.compile(r"[a-f0-9]{20,32}", re.ASCII)
_PAYLOAD = re.compile(r"[A-Za-z0-9+=/\n]+", re.ASCII)
_MOST = 16


@dataclass(frozen=True, slots=True)
class KeyPair:
    """What the gateway names a private key by, and the key."""

    public: str
    private: bytes = field(repr=False)

    def sign(self, data: bytes) -> str:
        key = hashlib.sha1(self.private, usedforsecurity=False).digest()
        return mac(key, data, "sha1", "hex")


@dataclass(frozen=True, slots=True)
class Braintree(Verifier):
    timed = False
    asks = True

    pairs: tuple[KeyPair, ...]

    def verify(self, hook: Hook, now: float, certificate: bytes = b"") -> str:  # noqa: ARG002
        fields = _fields(hook.body.decode("latin-1"))
        signature, payload = fields.get("bt_signature"), fields.get("bt_payload")
        if not signature or not payload:
            raise WebhookUnsigned
        # What looks like a challenge is signed for anybody who asks, so its signature says nothing.
        if len(fields) != 2 or not _PAYLOAD.fullmatch(payload) or _CHALLENGE.fullmatch(payload):
            raise WebhookMalformed
        self._check(signature, payload.encode())
        return digest_of(payload.rstrip("\n").encode())

    def _check(self, signature: str, payload: bytes) -> None:
        given = [each.split("|") for each in signature.split("&")]
        if len(given) > _MOST or any(len(each) != 2 for each in given):
            raise WebhookMalformed
        public = [each[0] for each in given]
        if len(set(public)) < len(public):
            raise WebhookMalformed
        signed = {name: text for name, text in given if name in {pair.public for pair in self.pairs}}
        if not signed:
            raise WebhookForged
        # Its SDKs send the payload with the line end that base64 has, or without it.
        expected = [f"{pair.public}|{pair.sign(each)}" for pair in self.pairs for each in (payload, payload + b"\n")]
        check_any(expected, [f"{name}|{text}" for name, text in signed.items()])

    def challenge(self, hook: Hook) -> str | None:
        if hook.method != "GET":
            return None
        fields = _fields(hook.target.partition("?")[2])
        asked = fields.get("bt_challenge", "")
        if len(fields) != 1 or not _CHALLENGE.fullmatch(asked):
            raise WebhookMalformed
        return f"{self.pairs[0].public}|{self.pairs[0].sign(asked.encode())}"


def _fields(text: str) -> dict[str, str]:
    found: Sequence[tuple[str, str]] = ()
    with suppress(ValueError):
        found = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=8)
    if not found or len(dict(found)) < len(found):
        raise WebhookMalformed
    return dict(found)
