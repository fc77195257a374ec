"""Adyen's payment webhooks: HMAC-SHA256 over eight fields of the one item, in the item itself.

Only these fields are covered; of the rest of the payload nothing is known but that it came. Adyen's other webhooks
(platforms, management) are an HMAC over the body, the scheme `hmac`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from proxy.signing.macs import mac
from proxy.verifying.errors import WebhookMalformed, WebhookUnsigned
from proxy.verifying.picking import Unreadable, read
from proxy.verifying.scheme import Hook, Verifier, check_any, digest_of

_FIELDS = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")


@dataclass(frozen=True, slots=True)
class Adyen(Verifier):
    timed = False
    accepted = "[accepted]"

    secrets: tuple[bytes, ...] = field(repr=False)

    def verify(self, hook: Hook, now: float, certificate: bytes = b"") -> str:  # noqa: ARG002
        item = _only(hook.body)
        signed = _signed(item).encode()
        check_any((mac(secret, signed, "sha256", "base64") for secret in self.secrets), [_signature(item)])
        return digest_of(":".join(_text(item, name) for name in ("pspReference", "eventCode", "success")).encode())


def _only(body: bytes) -> dict[str, Any]:
    """Return the item. Adyen sends one; several could be put together anew, for ever, from those that were taken."""
    try:
        document = read(body)
    except Unreadable:
        document = None
    found = document.get("notificationItems") if isinstance(document, dict) else None
    if not isinstance(found, list) or len(found) != 1:
        raise WebhookMalformed
    return _item(found[0])


def _item(found: Any) -> dict[str, Any]:
    item = found.get("NotificationRequestItem") if isinstance(found, dict) and len(found) == 1 else None
    if not isinstance(item, dict):
        raise WebhookMalformed
    return item


def _signature(item: dict[str, Any]) -> str:
    additional = item.get("additionalData")
    signature = additional.get("hmacSignature") if isinstance(additional, dict) else None
    if not signature:
        raise WebhookUnsigned
    return _encodable(signature)


def _signed(item: dict[str, Any]) -> str:
    amount = item.get("amount")
    if not isinstance(amount, dict):
        raise WebhookMalformed
    texts = [_text(item, name) for name in _FIELDS]
    texts += [_text(amount, "value"), _text(amount, "currency"), _text(item, "eventCode"), _text(item, "success")]
    # Nothing is escaped: of more than one field with colons, it could not be told which has which.
    if any(":" in text for place, text in enumerate(texts) if place != _FIELDS.index("merchantReference")):
        raise WebhookMalformed
    return ":".join(texts)


def _text(fields: dict[str, Any], name: str) -> str:
    """Return a field as it is signed. What is not there is empty; `true` may come as a text or not."""
    found = fields.get(name)
    if isinstance(found, bool):
        return str(found).lower()
    if found is None:
        return ""
    return _encodable(found)


def _encodable(found: Any) -> str:
    """Return a text; half of a surrogate pair, which JSON can write, is none that could be signed."""
    if not isinstance(found, str) or any("\ud800" <= char <= "\udfff" for char in found):
        raise WebhookMalformed
    return found
