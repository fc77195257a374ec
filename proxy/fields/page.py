"""The page of a frame: one field, or a whole card, on an origin of its own. Pure.

Its Content-Security-Policy (W3C CSP Level 3) lets it load nothing but its own files, talk to nobody but its own origin,
and be framed by nobody but the pages of its publishable key.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from proxy.errors import FieldsRequestInvalid
from proxy.fields.assets import Assets

FIELDS = ("card", "number", "expiry", "cvc", "iban", "account", "routing")
DEFAULT_LANGUAGE = "en"
RIGHT_TO_LEFT = ("ar", "fa", "he", "ur")
_CHANNEL = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors {ancestors}; require-trusted-types-for 'script'; trusted-types 'none'"
)
# What a page may be able to do that a field never does (W3C Permissions Policy).
_DENIED = (
    "accelerometer",
    "autoplay",
    "camera",
    "clipboard-read",
    "display-capture",
    "fullscreen",
    "geolocation",
    "gyroscope",
    "hid",
    "idle-detection",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "picture-in-picture",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "usb",
    "xr-spatial-tracking",
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a page asks for: a field, for a publishable key, on a page of an origin."""

    key: str
    origin: str
    field: str
    channel: str
    locale: str

    @classmethod
    def read(cls, query: str) -> Frame:
        """Read a query; raises FieldsRequestInvalid."""
        given = parse_qs(query, keep_blank_values=True)
        if twice := [name for name, values in given.items() if len(values) > 1]:
            raise FieldsRequestInvalid(problem=f"a parameter comes twice: {_name(twice[0])}")
        one = {name: values[0] for name, values in given.items()}
        frame = cls(*(one.get(name, "") for name in ("key", "origin", "field", "channel", "locale")))
        if frame.field not in FIELDS:
            raise FieldsRequestInvalid(problem=f"field has to be one of {', '.join(FIELDS)}")
        if not _CHANNEL.fullmatch(frame.channel):
            raise FieldsRequestInvalid(problem="channel has to be 16 to 64 letters, digits, - and _")
        return frame


def _name(text: str) -> str:
    return text if text in ("key", "origin", "field", "channel", "locale") else "another one"


def page(frame: Frame, assets: Assets, nonce: str) -> bytes:
    """Return the HTML of a frame."""
    language = frame.locale[:2].lower()
    language = language if language in assets.texts else DEFAULT_LANGUAGE
    direction = "rtl" if language in RIGHT_TO_LEFT else "ltr"
    config = {
        "key": frame.key,
        "origin": frame.origin,
        "field": frame.field,
        "channel": frame.channel,
        "locale": language,
        "dir": direction,
        "texts": dict(assets.texts[language]),
    }
    filled = {
        "nonce": nonce,
        "assets": assets.folder,
        "lang": language,
        "dir": direction,
        # In a script element nothing but `</script` and `<!--` ends the text.
        "config": json.dumps(config).replace("<", "\\u003c"),
    }
    document = assets.frame
    for name, text in filled.items():
        document = document.replace(f"{{{name}}}", text if name == "config" else html.escape(text))
    return document.encode()


def page_headers(nonce: str, ancestors: Sequence[str]) -> Mapping[str, str]:
    """Return the headers of a frame; `ancestors` are the origins of the pages that it may stand in."""
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": _POLICY.format(nonce=nonce, ancestors=" ".join(ancestors)),
        "Cache-Control": "no-store",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Origin-Agent-Cluster": "?1",
        "Permissions-Policy": ", ".join(f"{name}=()" for name in _DENIED),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-DNS-Prefetch-Control": "off",
    }
