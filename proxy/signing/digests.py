"""Digests of a body: Digest (RFC 3230), Content-Digest and Repr-Digest (RFC 9530), Content-MD5 (RFC 1864)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from proxy.errors import DigestMismatch, DigestUnsupported
from proxy.rewrite.message import Headers
from proxy.signing.macs import digest, same

_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5"}
_STRONG = ("sha256", "sha512")
_BASE64 = r"[A-Za-z0-9+/]+={0,2}"
_ELEMENT = re.compile(rf"([A-Za-z0-9-]+)=({_BASE64})", re.ASCII)
_MEMBER = re.compile(rf"([a-z0-9-]+)=:({_BASE64}):", re.ASCII)
_MD5 = re.compile(rf"()({_BASE64})", re.ASCII)
_FORMS = {"digest": _ELEMENT, "content-digest": _MEMBER, "repr-digest": _MEMBER, "content-md5": _MD5}
SIGNABLE = frozenset(_FORMS) - {"content-md5"}
"""The headers that stand for the body in a signature."""


def are_absent(names: Iterable[str]) -> bool:
    """Tell whether none of the headers with these names (lower case) is a digest of the body."""
    return _FORMS.keys().isdisjoint(names)


def check(headers: Headers, body: bytes) -> None:
    """Raise DigestMismatch or DigestUnsupported unless every digest in the headers is the body's."""
    renewed(headers, body, body)


def renewed(headers: Headers, came: bytes, goes: bytes) -> Headers:
    """Return the headers with the digests of `goes` where those of `came` stood; raises as `check` does."""
    if are_absent([name.lower() for name, _ in headers]):
        return headers
    return tuple(
        (name, _renewed(form, value, came, goes) if (form := _FORMS.get(name.lower())) else value)
        for name, value in headers
    )


def is_strong(name: str, value: str) -> bool:
    """Tell whether a digest header is fit to stand for the body in a signature."""
    return any(algorithm in _STRONG for algorithm, _, _ in _read(_FORMS[name], value))


def _renewed(form: re.Pattern[str], value: str, came: bytes, goes: bytes) -> str:
    pieces, done = [], 0
    for algorithm, start, end in _read(form, value):
        if not same(digest(came, algorithm, "base64"), value[start:end]):
            raise DigestMismatch
        pieces += [value[done:start], digest(goes, algorithm, "base64")]
        done = end
    return "".join([*pieces, value[done:]])


def _read(form: re.Pattern[str], value: str) -> list[tuple[str, int, int]]:
    """Return the algorithm of each digest, and where it stands."""
    found, start = [], 0
    for element in value.split(","):
        match = form.fullmatch(
            value, start + len(element) - len(element.lstrip(" \t")), start + len(element.rstrip(" \t"))
        )
        algorithm = _ALGORITHMS.get(match[1].lower() or "md5") if match else None
        if match is None or algorithm is None:
            raise DigestUnsupported
        found.append((algorithm, *match.span(2)))
        start += len(element) + 1
    return found
