"""Media types: how a body is to be read (RFC 9110, section 8.3; RFC 7303 for XML; RFC 2046 for multipart)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # RFC 9110's word for it
_TYPE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})[ \t]*((?:;.*)?)", re.ASCII | re.DOTALL)
_QUOTED = r'"(?:[^"\\\x00-\x1f]|\\[\x20-\x7e])*"'
_PARAMETER = re.compile(rf';[ \t]*(?:([^=;\s"]+)[ \t]*=[ \t]*({_QUOTED}|[^";\s\\]*))?[ \t]*', re.ASCII)
_QUOTED_PAIR = re.compile(r"\\(.)")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
MAX_LENGTH = 256


class BodyType(Enum):
    """How a body is read; the value is its media type."""

    JSON = "application/json"
    FORM = "application/x-www-form-urlencoded"
    XML = "application/xml"
    MULTIPART = "multipart/form-data"


_BY_NAME: Mapping[str, BodyType] = MappingProxyType(
    {each.value: each for each in BodyType} | {"text/json": BodyType.JSON, "text/xml": BodyType.XML}
)
_BY_SUFFIX = MappingProxyType({"+json": BodyType.JSON, "+xml": BodyType.XML})


@dataclass(frozen=True, slots=True)
class Media:
    """What a Content-Type says. `type` is None for what cannot be rewritten; `charset` is None where none is named."""

    type: BodyType | None
    charset: str | None = None
    boundary: bytes = b""


def parse(content_type: str) -> Media | None:
    """Return what a Content-Type says, or None if it can be read in more than one way."""
    return _USUAL.get(content_type) or _parsed(content_type)


def _parsed(content_type: str) -> Media | None:
    match = _TYPE.fullmatch(content_type[:MAX_LENGTH])
    parameters = _parameters(match[2]) if match else None
    if match is None or parameters is None or len(content_type) > MAX_LENGTH:
        return None
    name = match[1].lower()
    suffix = name[name.rfind("+") :] if name.startswith("application/") and "/+" not in name else ""
    body_type = _BY_NAME.get(name) or _BY_SUFFIX.get(suffix)
    if body_type is not BodyType.MULTIPART:
        return Media(body_type, parameters.get("charset"))
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        return None
    return Media(body_type, parameters.get("charset"), boundary.encode())


def _parameters(text: str) -> dict[str, str] | None:
    """Return the parameters, names in lower case; None if one is malformed or named twice."""
    found: dict[str, str] = {}
    done = 0
    for match in _PARAMETER.finditer(text):
        if match.start() != done:
            return None
        done = match.end()
        if match[1] is None:
            continue
        name, value = match[1].lower(), match[2]
        if name in found or "*" in name:  # RFC 2231's way of writing one is not understood by all
            return None
        found[name] = _QUOTED_PAIR.sub(r"\1", value[1:-1]) if value.startswith('"') else value
    return found if done == len(text) else None


# Nearly all. What else comes is not remembered: anything may stand in it.
_USUAL: Mapping[str, Media] = MappingProxyType(
    {
        text: media
        for name in (BodyType.JSON.value, BodyType.FORM.value, BodyType.XML.value, "text/xml")
        for text in (name, f"{name}; charset=utf-8", f"{name};charset=utf-8", f"{name}; charset=UTF-8")
        if (media := _parsed(text)) is not None
    }
)
