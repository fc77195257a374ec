"""How a webhook route's senders are verified: one model per scheme, each compiled into that scheme."""

from __future__ import annotations

import binascii
from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from proxy.config.base import Model
from proxy.config.values import ForwardHost, HeaderName, SecretReference
from proxy.hosts import HTTPS_PORT, HostPort
from proxy.secrets import REFERENCE
from proxy.verifying.adyen import Adyen
from proxy.verifying.braintree import Braintree, KeyPair
from proxy.verifying.hmac_of_parts import HEADER, PLAIN, TEXT, HmacWebhook
from proxy.verifying.paypal import PayPal
from proxy.verifying.picking import PICK, Pick
from proxy.verifying.scheme import Verifier
from proxy.verifying.standard import PUBLIC, StandardWebhooks, secret_bytes
from proxy.verifying.stripe import Stripe

_MOST = 4


def _several(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


def _or_list(one: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": _MOST}]})


SecretReferences = Annotated[
    tuple[SecretReference, ...],
    Field(min_length=1, max_length=_MOST),
    BeforeValidator(_several),
    _or_list({"type": "string", "pattern": REFERENCE}),
]
"""One secret or, while it is replaced, several."""
PublicKeys = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")], ...],
    Field(min_length=1, max_length=_MOST),
    BeforeValidator(_several),
    _or_list({"type": "string", "pattern": "^[A-Za-z0-9]{1,64}$"}),
]
PickText = Annotated[str, Field(pattern=PICK)]
Window = Annotated[int, Field(ge=1, le=7 * 86400)]
DnsName = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$")]


class _Verify(Model):
    secret: SecretReferences

    def compile(self, secrets: tuple[str, ...], roots: bytes = b"") -> Verifier:
        """Return the verifier; raises ValueError, which shows nothing of a secret. `roots` are of `ca`, in PEM."""
        raise NotImplementedError


class StripeVerify(_Verify):
    scheme: Literal["stripe"]
    window_seconds: Window = 300

    def compile(self, secrets: tuple[str, ...], roots: bytes = b"") -> Verifier:  # noqa: ARG002
        return Stripe(tuple(each.encode() for each in secrets), self.window_seconds)


class StandardVerify(_Verify):
    """`prefix`: that of the headers' names, `webhook-` or what a sender had before the standard."""

    scheme: Literal["standard-webhooks"]
    window_seconds: Window = 300
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}-$")] = "webhook-"

    def compile(self, secrets: tuple[str, ...], roots: bytes = b"") -> Verifier:  # noqa: ARG002
        found = [(each.startswith(PUBLIC), secret_bytes(each)) for each in secrets]
        own, public = (tuple(raw for is_public, raw in found if is_public is kind) for kind in (False, True))
        return StandardWebhooks(own, public, self.window_seconds, self.prefix)


def _check_part(part: str) -> str:
    if part not in PLAIN and not (part.startswith((TEXT, HEADER)) and part.partition(":")[2]):
        raise ValueError(f"a part is one of {', '.join(PLAIN)}, header:NAME or text:LITERAL")
    return part


class HmacVerify(_Verify):
    """`timestamp` names the header with the time. `url`: what the gateway calls, where it signs that, too."""

    scheme: Literal["hmac"]
    secret_encoding: Literal["text", "base64", "hex"] = "text"  # noqa: S105  # a format, not a secret
    header: HeaderName
    parts: Annotated[tuple[Annotated[str, AfterValidator(_check_part)], ...], Field(min_length=1)] = ("body",)
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "hex-upper", "base64", "base64url"] = "hex"
    prefix: str = ""
    timestamp: HeaderName | None = None
    timestamp_unit: Literal["seconds", "milliseconds", "iso8601"] = "seconds"
    window_seconds: Window = 300
    url: Annotated[str, Field(pattern=r"^https?://[!-~]+$")] | None = None
    id: PickText | None = None

    @model_validator(mode="after")
    def _check_parts(self) -> HmacVerify:
        if self.parts.count("body") != 1:
            raise ValueError("parts: body has to be among them, once")
        for part, given in (("timestamp", self.timestamp), ("url", self.url)):
            if (part in self.parts) != (given is not None):
                raise ValueError(f"parts: {part} has to be among them, and said what it is: both or neither")
        if self.id is not None and self.id.startswith(HEADER) and self.id.lower() not in map(str.lower, self.parts):
            raise ValueError("id: its header has to be among the parts, or anybody could change it")
        self._check_neighbours()
        return self

    def _check_neighbours(self) -> None:
        for one, other in zip(self.parts, self.parts[1:], strict=False):
            both = {one, other}
            loose = any(part.startswith(HEADER) for part in both) or (
                "timestamp" in both and self.timestamp_unit == "iso8601"
            )
            if loose and not any(part.startswith(TEXT) for part in both):
                raise ValueError("parts: between a header and its neighbours there has to be a text:")

    def compile(self, secrets: tuple[str, ...], roots: bytes = b"") -> Verifier:  # noqa: ARG002
        return HmacWebhook(
            tuple(_decoded(each, self.secret_encoding) for each in secrets),
            self.header,
            self.parts,
            self.algorithm,
            self.encoding,
            self.prefix,
            self.timestamp,
            self.timestamp_unit,
            self.url,
            Pick(self.id) if self.id else None,
            self.window_seconds,
        )


class AdyenVerify(_Verify):
    """`secret` is the HMAC key of the webhook, in hexadecimal digits."""

    scheme: Literal["adyen"]

    def compile(self, secrets: tuple[str, ...], roots: bytes = b"") -> Verifier:  # noqa: ARG002
        return Adyen(tuple(_decoded(each, "hex") for each in secrets))


class BraintreeVerify(_Verify):
    """`public_key` names the private key that is the secret; of several, in the same order."""

    scheme: Literal["braintree"]
    public_key: PublicKeys

    @model_validator(mode="after")
    def _check_pairs(self) -> BraintreeVerify:
        if len(self.public_key) != len(self.secret) or len(set(self.public_key)) < len(self.public_key):
            raise ValueError("public_key: there has to be one for each secret, in the same order")
        return self

    def compile(self, secrets: tuple[str, ...], roots: bytes = b"") -> Verifier:  # noqa: ARG002
        pairs = zip(self.public_key, secrets, strict=True)
        return Braintree(tuple(KeyPair(public, private.encode()) for public, private in pairs))


class PayPalVerify(Model):
    """`hosts`: where certificates are fetched from; `names`: whom they are made out to; `ca`: who may have signed
    them, and who the hosts' own certificates: left out, the authorities of the system.
    """

    scheme: Literal["paypal"]
    webhook_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    hosts: Annotated[tuple[ForwardHost, ...], Field(min_length=1)] = ("api.paypal.com", "api.sandbox.paypal.com")
    names: Annotated[tuple[DnsName, ...], Field(min_length=1)] = (
        "messageverificationcerts.paypal.com",
        "messageverificationcerts.sandbox.paypal.com",
    )
    ca: Path | None = None
    window_seconds: Window = 300

    def compile(self, secrets: tuple[str, ...], roots: bytes = b"") -> Verifier:  # noqa: ARG002
        hosts = frozenset(HostPort.parse(each, default_port=HTTPS_PORT) for each in self.hosts)
        return PayPal(self.webhook_id, hosts, self.names, roots, self.window_seconds)


VerifyConfig = Annotated[
    StripeVerify | StandardVerify | HmacVerify | AdyenVerify | BraintreeVerify | PayPalVerify,
    Field(discriminator="scheme"),
]


def _decoded(text: str, encoding: str) -> bytes:
    try:
        if encoding == "base64":
            return b64decode(text, validate=True)
        return bytes.fromhex(text) if encoding == "hex" else text.encode()
    except (binascii.Error, ValueError):
        pass
    raise ValueError(f"a secret is not written in {encoding}")
