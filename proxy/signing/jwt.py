"""A JWS in compact form (RFC 7515) with a claim that is the digest of the body."""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from proxy.errors import (
    DigestMismatch,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    SignatureUncovered,
    SignatureUnsupported,
)
from proxy.rewrite.errors import BodyRejected
from proxy.rewrite.fields import KEY_PREFIX, Field, Fields
from proxy.rewrite.media import BodyType, Media
from proxy.rewrite.message import Headers, Message
from proxy.rewrite.plan import find
from proxy.rewrite.selectors import Selector
from proxy.signing import digests
from proxy.signing.clock import check_age, check_begin, check_end
from proxy.signing.macs import ENCODINGS, Secrets, digest, mac, same
from proxy.signing.scheme import HoldsKey, Scheme, SignedRequest, put_header

_HASHES = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_BEARER = "bearer"
_KEY = KEY_PREFIX.encode()


@dataclass(frozen=True, slots=True)
class _Token:
    """The parts of a JWS as they are written, what they say, and the text that stands before it in its header."""

    prefix: str
    signed: str
    signature: str
    header: bytes
    payload: bytes
    said: dict[str, Any]
    claims: dict[str, Any]


@dataclass(frozen=True, slots=True)
class JsonWebSignature(Scheme):
    """`claim` is the name of the one with the body's digest; None if there is none."""

    secrets: Secrets
    max_age: float = 300
    algorithm: str = "HS256"
    header: str = "Authorization"
    claim: str | None = None
    digest: str = "sha256"
    encoding: str = "hex"

    def key_id(self, request: SignedRequest) -> str:
        found = self._read(request).said.get("kid", "")
        return found if isinstance(found, str) else ""

    def verify(self, request: SignedRequest, now: float, *, cover_body: bool) -> None:
        token = self._read(request)
        if token.said.get("alg") != self.algorithm or "crit" in token.said or "b64" in token.said:
            raise SignatureUnsupported
        if not same(self._mac(self.secrets.app, token.signed), token.signature):
            raise SignatureInvalid
        self._check_times(token.claims, now)
        digests.check(request.headers, request.body)
        claimed = token.claims.get(self.claim) if self.claim else None
        if claimed is None:
            if cover_body:
                raise SignatureUncovered
        elif not isinstance(claimed, str) or not same(digest(request.body, self.digest, self.encoding), claimed):
            raise DigestMismatch

    def _check_times(self, claims: dict[str, Any], now: float) -> None:
        if "exp" in claims:
            check_end(_moment(claims["exp"]), now)
        if "nbf" in claims:
            check_begin(_moment(claims["nbf"]), now)
        if "iat" in claims:
            check_age(_moment(claims["iat"]), now, self.max_age)

    def sign(self, came: SignedRequest, goes: SignedRequest) -> Headers:
        token = self._read(came)
        header, payload = token.header, token.payload
        if self.secrets.key_id is not None and "kid" in token.said:
            header = _replaced(header, "kid", self.secrets.key_id)
        if self.claim and self.claim in token.claims:
            payload = _replaced(payload, self.claim, digest(goes.body, self.digest, self.encoding))
        if _KEY in header or _KEY in payload:
            raise HoldsKey
        signed = f"{_encoded(header)}.{_encoded(payload)}"
        value = f"{token.prefix}{signed}.{self._mac(self.secrets.gateway, signed)}"
        return put_header(goes.headers, self.header, value)

    def _mac(self, secret: bytes, signed: str) -> str:
        return mac(secret, signed.encode("ascii"), _HASHES[self.algorithm], "base64url")

    def _read(self, request: SignedRequest) -> _Token:
        value = request.carrying(self.header)
        prefix = ""
        if self.header.lower() == "authorization":
            scheme, _, rest = value.partition(" ")
            if scheme.lower() != _BEARER:
                raise SignatureMissing
            prefix, value = value[: len(value) - len(rest.lstrip())], rest.lstrip()
        parts = value.split(".")
        if len(parts) != 3:
            raise SignatureMalformed
        header, payload = _decoded(parts[0]), _decoded(parts[1])
        return _Token(prefix, f"{parts[0]}.{parts[1]}", parts[2], header, payload, _members(header), _members(payload))


def _encoded(raw: bytes) -> str:
    return ENCODINGS["base64url"](raw)


def _decoded(text: str) -> bytes:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SignatureMalformed from None
    if _encoded(raw) != text:
        raise SignatureMalformed
    return raw


def _members(raw: bytes) -> dict[str, Any]:
    try:
        read = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refused)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise SignatureMalformed
    return read


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise SignatureMalformed
    return members


def _refused(_constant: str) -> NoReturn:
    raise SignatureMalformed


def _moment(claim: Any) -> float:
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        raise SignatureMalformed
    try:
        moment = float(claim)
    except OverflowError:
        raise SignatureMalformed from None
    if not math.isfinite(moment):
        raise SignatureMalformed
    return moment


def _replaced(document: bytes, name: str, value: str) -> bytes:
    """Return a JSON object with another text in one member; all other bytes stay."""
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    field = Field(Selector.parse(f"$['{quoted}']"), "signed")
    try:
        return find(Message(document, Media(BodyType.JSON)), Fields([field])).fill([value]).body
    except (BodyRejected, ValueError):
        raise SignatureMalformed from None
