"""How an outbound route's requests are signed: one model per scheme, each compiled into that scheme."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from proxy.config.values import HeaderName, SecretReference
from proxy.signing.cavage import Cavage
from proxy.signing.digests import SIGNABLE
from proxy.signing.jwt import JsonWebSignature
from proxy.signing.macs import Secrets
from proxy.signing.parts import HEADER, PLAIN, TEXT, HmacOfParts
from proxy.signing.rfc9421 import MessageSignature
from proxy.signing.scheme import Scheme

KeyId = Annotated[str, Field(pattern=r"^[ !#-\[\]-~]+$")]  # printable, without what a quoted string would escape
Encoding = Literal["hex", "hex-upper", "base64", "base64url"]


def _check_part(part: str) -> str:
    if part not in PLAIN and not part.startswith((TEXT, HEADER)):
        raise ValueError(f"a part is one of {', '.join(PLAIN)}, header:NAME or text:LITERAL")
    return part


Part = Annotated[str, AfterValidator(_check_part)]


class _Signing(BaseModel):
    """`app_secret`: what applications sign with; `secret`: the gateway's; `key_id`: what it knows that one by.

    `secret_encoding`: how both are written. `max_age` 0 takes signatures of any age.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    app_secret: SecretReference
    secret: SecretReference
    secret_encoding: Literal["text", "base64", "hex"] = "text"  # noqa: S105  # a format, not a secret
    key_id: KeyId | None = None
    max_age: Annotated[int, Field(ge=0, le=86400)] = 300
    cover_body: bool = True

    def secrets(self, app: str, gateway: str) -> Secrets:
        """Return the secrets as bytes; raises ValueError, which shows nothing of them."""
        return Secrets(self._bytes(app), self._bytes(gateway), self.key_id)

    def _bytes(self, secret: str) -> bytes:
        try:
            if self.secret_encoding == "base64":  # noqa: S105
                return base64.b64decode(secret, validate=True)
            return bytes.fromhex(secret) if self.secret_encoding == "hex" else secret.encode()  # noqa: S105
        except (binascii.Error, ValueError):
            pass
        raise ValueError("a secret is not written as secret_encoding says")

    def compile(self, secrets: Secrets) -> Scheme:
        """Return the scheme that signs and verifies."""
        raise NotImplementedError


class CavageConfig(_Signing):
    scheme: Literal["cavage"]

    def compile(self, secrets: Secrets) -> Scheme:
        return Cavage(secrets, self.max_age)


class Rfc9421Config(_Signing):
    scheme: Literal["rfc9421"]
    label: Annotated[str, Field(pattern=r"^[a-z*][a-z0-9_.*-]*$")] | None = None

    def compile(self, secrets: Secrets) -> Scheme:
        return MessageSignature(secrets, self.max_age, self.label)


class JwtConfig(_Signing):
    scheme: Literal["jwt"]
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    header: HeaderName = "Authorization"
    claim: Annotated[str, Field(pattern=r"^[ -~]+$")] | None = None
    digest: Literal["sha256", "sha512"] = "sha256"
    encoding: Encoding = "hex"

    @model_validator(mode="after")
    def _covers(self) -> JwtConfig:
        if self.claim is None and self.cover_body:
            raise ValueError("claim: name the one with the body's digest, or set cover_body = false")
        return self

    def compile(self, secrets: Secrets) -> Scheme:
        return JsonWebSignature(
            secrets, self.max_age, self.algorithm, self.header, self.claim, self.digest, self.encoding
        )


class HmacConfig(_Signing):
    """`timestamp` names the header with Unix seconds or milliseconds; `key_header` the one with the key id."""

    scheme: Literal["hmac"]
    header: HeaderName
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    algorithm: Literal["sha256", "sha512"] = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    timestamp: HeaderName | None = None
    key_header: HeaderName | None = None

    @model_validator(mode="after")
    def _covers(self) -> HmacConfig:
        headers = {part.removeprefix(HEADER).lower() for part in self.parts if part.startswith(HEADER)}
        if self.cover_body and not headers & SIGNABLE and not any(part.startswith("body") for part in self.parts):
            raise ValueError("parts: they cover no body; add one of body, or set cover_body = false")
        if self.timestamp is not None and self.timestamp.lower() not in headers:
            raise ValueError("timestamp: its header has to be among the parts")
        if self.header.lower() in headers:
            raise ValueError("parts: the signature's own header cannot be among them")
        return self

    def compile(self, secrets: Secrets) -> Scheme:
        return HmacOfParts(
            secrets,
            self.header,
            self.parts,
            self.max_age,
            self.algorithm,
            self.encoding,
            self.prefix,
            self.timestamp,
            self.key_header,
        )


SigningConfig = Annotated[CavageConfig | Rfc9421Config | JwtConfig | HmacConfig, Field(discriminator="scheme")]
