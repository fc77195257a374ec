"""Events as CEF (ArcSight Common Event Format, version 0), one line each. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from vault.audit.severity import Severity, severity_of

_SEVERITY = {Severity.INFORMATIONAL: 3, Severity.MEDIUM: 6, Severity.HIGH: 8}
_CUSTOM = ("policy", "rule", "reason", "operator", "certificate", "tokens")  # cs1 to cs6
_NAMED = {
    "outcome": "outcome",
    "code": "reason",
    "app": "suser",
    "tenant": "sntdom",
    "route": "deviceFacility",
    "destination": "dhost",
    "origin": "shost",
    "request_id": "externalId",
}


def cef_line(event: Mapping[str, object], index: int, version: str) -> str:
    """Return an event, given by its canonical members, as one line; `index` is its leaf in the tree."""
    action = str(event.get("action"))
    header = ["CEF:0", "Panless", "Panless", version, action, f"{action} {event.get('outcome')}"]
    severity = str(_SEVERITY[severity_of(event)])
    extension = {"rt": _text(event.get("at")), "act": action}
    extension |= {key: _text(event[name]) for name, key in _NAMED.items() if name in event}
    for number, name in enumerate(_CUSTOM, 1):
        if name in event:
            extension |= {f"cs{number}Label": name, f"cs{number}": _text(event[name])}
    extension |= {"cn1Label": "leaf", "cn1": str(index), "cn2Label": "seq", "cn2": _text(event.get("seq"))}
    extension |= {"flexString1Label": "chain", "flexString1": _text(event.get("chain"))}
    members = " ".join(f"{key}={_value(value)}" for key, value in extension.items())
    return "|".join([*map(_head, header), severity, members])


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _head(text: str) -> str:
    """A backslash and a pipe are escaped; a line ends the event."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\r", " ").replace("\n", " ")


def _value(text: str) -> str:
    """A backslash and an equals sign are escaped, and what ends a line."""
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
