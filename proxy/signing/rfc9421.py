"""HTTP Message Signatures (RFC 9421) with hmac-sha256."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.errors import (
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    SignatureUncovered,
    SignatureUnsupported,
)
from proxy.hosts import without_default_port
from proxy.rewrite.message import Headers
from proxy.signing import digests
from proxy.signing.clock import check_age, check_date, check_end
from proxy.signing.macs import Secrets, mac, same, to_bytes
from proxy.signing.scheme import Scheme, SignedRequest, put_header
from proxy.signing.structured import InnerList, Member, byte_sequences, inner_lists

_INPUT, _SIGNATURE = "Signature-Input", "Signature"


@dataclass(frozen=True, slots=True)
class _Found:
    """The one signature that counts: its list of components, and where list and value stand in their headers."""

    components: InnerList
    input: Member
    input_text: str
    value: str
    signature: Member
    signature_text: str


@dataclass(frozen=True, slots=True)
class MessageSignature(Scheme):
    """`label` is needed where requests carry several signatures; the others are left as they are."""

    secrets: Secrets
    max_age: float = 300
    label: str | None = None

    def key_id(self, request: SignedRequest) -> str:
        return self._read(request).components.text("keyid") or ""

    def verify(self, request: SignedRequest, now: float, *, cover_body: bool) -> None:
        found = self._read(request)
        components = found.components
        if components.text("alg") not in (None, "hmac-sha256"):
            raise SignatureUnsupported
        if not same(mac(self.secrets.app, base(request, components), "sha256", "base64"), found.value):
            raise SignatureInvalid
        if (created := components.number("created")) is not None:
            check_age(created, now, self.max_age)
        if (expires := components.number("expires")) is not None:
            check_end(expires, now)
        if "date" in components.items:
            check_date(request.covered("date"), now, self.max_age)
        digests.check(request.headers, request.body)
        named = digests.SIGNABLE.intersection(components.items)
        if cover_body and not any(digests.is_strong(name, request.covered(name)) for name in named):
            raise SignatureUncovered

    def sign(self, came: SignedRequest, goes: SignedRequest) -> Headers:
        found = self._read(came)
        components = found.components
        if self.secrets.key_id is not None:
            components = components.with_text("keyid", self.secrets.key_id)
        value = mac(self.secrets.gateway, base(goes, components), "sha256", "base64")
        headers = put_header(goes.headers, _INPUT, _put(found.input_text, found.input, str(components)))
        return put_header(headers, _SIGNATURE, _put(found.signature_text, found.signature, f":{value}:"))

    def _read(self, request: SignedRequest) -> _Found:
        input_text, signature_text = request.carrying(_INPUT), request.carrying(_SIGNATURE)
        inputs, signatures = inner_lists(input_text), byte_sequences(signature_text)
        if inputs.keys() != signatures.keys() or (self.label is None and len(inputs) > 1):
            raise SignatureMalformed
        label = self.label or next(iter(inputs))
        if label not in inputs:
            raise SignatureMissing
        components, value = inputs[label].value, signatures[label].value
        if not isinstance(components, InnerList) or not isinstance(value, str):
            raise SignatureMalformed
        if len(set(components.items)) < len(components.items):
            raise SignatureMalformed
        if {_INPUT.lower(), _SIGNATURE.lower()}.intersection(components.items):
            raise SignatureUnsupported  # of another signature, which is not made anew
        return _Found(components, inputs[label], input_text, value, signatures[label], signature_text)


def base(request: SignedRequest, components: InnerList) -> bytes:
    """Return the signature base (section 2.5)."""
    lines = [f'"{name}": {_component(name, request)}' for name in components.items]
    return to_bytes("\n".join([*lines, f'"@signature-params": {components}']))


def _component(name: str, request: SignedRequest) -> str:
    if not name.startswith("@"):
        # With parameters (;sf, ;key, ...) or in capitals it is no name that this scheme takes.
        if not name or ";" in name or name != name.lower():
            raise SignatureUnsupported
        return request.covered(name)
    authority = without_default_port(request.scheme, request.covered("host").lower())
    derived = {
        "@method": request.method,
        "@authority": authority,
        "@scheme": request.scheme,
        "@target-uri": f"{request.scheme}://{authority}{request.target}",
        "@request-target": request.target,
        "@path": request.path or "/",
        "@query": f"?{request.query}",
    }
    if name not in derived:
        raise SignatureUnsupported
    return derived[name]


def _put(text: str, member: Member, value: str) -> str:
    return text[: member.start] + value + text[member.end :]
