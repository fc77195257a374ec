"""Preferences of a client (RFC 7240). Only `respond-async` means something here; all others go on."""

from __future__ import annotations

from multidict import CIMultiDict, CIMultiDictProxy

_HEADER = "Prefer"
_ASYNC = "respond-async"


def prefers_async(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> bool:
    """Tell whether the client would rather have a 202 at once than the answer."""
    if _HEADER not in headers:
        return False
    return any(_name(each) == _ASYNC for value in headers.getall(_HEADER, []) for each in value.split(","))


def drop_async(headers: CIMultiDict[str]) -> None:
    """Take the preference out: it was for us."""
    kept = [each.strip() for value in headers.popall(_HEADER, []) for each in value.split(",") if _name(each) != _ASYNC]
    if any(kept):
        headers[_HEADER] = ", ".join(filter(None, kept))


def _name(preference: str) -> str:
    return preference.partition(";")[0].strip().lower()  # it has no value (RFC 7240, section 4.1)
