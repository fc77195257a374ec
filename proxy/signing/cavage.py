"""HTTP signatures of draft-cavage-http-signatures-12 with HMAC-SHA256, in Signature or in Authorization."""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.errors import (
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    SignatureUncovered,
    SignatureUnsupported,
)
from proxy.rewrite.message import Headers
from proxy.signing import digests
from proxy.signing.clock import check_age, check_date, check_end
from proxy.signing.macs import Secrets, mac, same, to_bytes
from proxy.signing.scheme import Scheme, SignedRequest, header_values, put_header

_PARAMETER = re.compile(r'([A-Za-z]+)=(?:"([^"\\]*)"|([0-9]{1,15}(?:\.[0-9]{1,9})?))', re.ASCII)
_BETWEEN = re.compile(r"[ \t]*,[ \t]*", re.ASCII)
_SCHEME = re.compile(r"signature +", re.ASCII | re.IGNORECASE)
_ALGORITHMS = ("hs2019", "hmac-sha256")
_TIMES = ("created", "expires")


@dataclass(frozen=True, slots=True)
class _Parameters:
    """The parameters of a signature in the text of `header`, and where each of them stands."""

    header: str
    text: str
    values: dict[str, str]
    spans: dict[str, tuple[int, int]]

    @property
    def covered(self) -> list[str]:
        return self.values.get("headers", "(created)").lower().split(" ")

    def number(self, name: str) -> float:
        try:
            return float(self.values[name])
        except (KeyError, ValueError):
            raise SignatureMalformed from None

    def changed(self, changes: dict[str, str]) -> str:
        """Return the text with other values of some parameters."""
        text = self.text
        for name in sorted(changes, key=lambda each: self.spans[each], reverse=True):
            start, end = self.spans[name]
            text = text[:start] + changes[name] + text[end:]
        return text


@dataclass(frozen=True, slots=True)
class Cavage(Scheme):
    secrets: Secrets
    max_age: float = 300

    def key_id(self, request: SignedRequest) -> str:
        return _read(request).values["keyId"]

    def verify(self, request: SignedRequest, now: float, *, cover_body: bool) -> None:
        parameters = _read(request)
        covered = parameters.covered
        _check_algorithm(parameters)
        expected = mac(self.secrets.app, _base(request, parameters), "sha256", "base64")
        if not same(expected, parameters.values["signature"]):
            raise SignatureInvalid
        self._check_times(request, parameters, now)
        digests.check(request.headers, request.body)
        strong = (digests.is_strong(name, request.covered(name)) for name in digests.SIGNABLE.intersection(covered))
        if cover_body and not any(strong):
            raise SignatureUncovered

    def _check_times(self, request: SignedRequest, parameters: _Parameters, now: float) -> None:
        if "created" in parameters.values:
            check_age(parameters.number("created"), now, self.max_age)
        if "expires" in parameters.values:
            check_end(parameters.number("expires"), now)
        if "date" in parameters.covered:
            check_date(request.covered("date"), now, self.max_age)

    def sign(self, came: SignedRequest, goes: SignedRequest) -> Headers:
        parameters = _read(came)
        changes = {"signature": mac(self.secrets.gateway, _base(goes, parameters), "sha256", "base64")}
        if self.secrets.key_id is not None:
            changes["keyId"] = self.secrets.key_id
        return put_header(goes.headers, parameters.header, parameters.changed(changes))


def _read(request: SignedRequest) -> _Parameters:
    found = [("Signature", value, 0) for value in header_values(request.headers, "Signature")]
    authorizations = header_values(request.headers, "Authorization")
    found += [("Authorization", each, scheme.end()) for each in authorizations if (scheme := _SCHEME.match(each))]
    if not found:
        raise SignatureMissing
    if len(found) > 1 or len(header_values(request.headers, found[0][0])) > 1:
        raise SignatureMalformed
    return _parsed(*found[0])


def _parsed(header: str, text: str, at: int) -> _Parameters:
    parameters = _Parameters(header, text, {}, {})
    while True:
        match = _PARAMETER.match(text, at)
        if match is None or match[1] in parameters.values:
            raise SignatureMalformed
        group = 2 if match[2] is not None else 3
        # Numbers stand without quotes, texts within them: the other way round receivers differ.
        if (group == 3) != (match[1] in _TIMES):
            raise SignatureMalformed
        parameters.values[match[1]], parameters.spans[match[1]] = match[group], match.span(group)
        if match.end() == len(text):
            break
        between = _BETWEEN.match(text, match.end())
        if between is None:
            raise SignatureMalformed
        at = between.end()
    covered = parameters.covered
    if not {"keyId", "signature"} <= parameters.values.keys() or len(set(covered)) < len(covered):
        raise SignatureMalformed
    return parameters


def _check_algorithm(parameters: _Parameters) -> None:
    algorithm = parameters.values.get("algorithm", "hs2019")
    # Section 2.3: the times belong to hs2019 only.
    timed = {"(created)", "(expires)"}.intersection(parameters.covered)
    if algorithm not in _ALGORITHMS or (timed and algorithm != "hs2019"):
        raise SignatureUnsupported


def _base(request: SignedRequest, parameters: _Parameters) -> bytes:
    return b"\n".join(to_bytes(_line(name, request, parameters)) for name in parameters.covered)


def _line(name: str, request: SignedRequest, parameters: _Parameters) -> str:
    if name == "(request-target)":
        return f"{name}: {request.method.lower()} {request.target}"
    if name in ("(created)", "(expires)"):
        text = parameters.values.get(name[1:-1])
        if text is None or (name == "(created)" and not text.isdecimal()):
            raise SignatureMalformed
        return f"{name}: {text}"
    if name.startswith("("):
        raise SignatureUnsupported
    return f"{name}: {request.covered(name)}"
