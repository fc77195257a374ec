"""Events as OCSF, schema version 1.6.0: what is done with cards is API Activity (6003), and so is all else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from vault.audit.severity import Severity, severity_of

SCHEMA_VERSION = "1.6.0"
CATEGORY, CLASS = 6, 6003  # Application Activity, API Activity
_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99
_ACTIVITY_NAMES = {_CREATE: "Create", _READ: "Read", _UPDATE: "Update", _DELETE: "Delete", _OTHER: "Other"}
_SEVERITY = {Severity.INFORMATIONAL: (1, "Informational"), Severity.MEDIUM: (3, "Medium"), Severity.HIGH: (4, "High")}
_STATUS = {"permitted": (1, "Success")}
_MAPPED = {
    "at",
    "action",
    "outcome",
    "code",
    "app",
    "tenant",
    "destination",
    "origin",
    "request_id",
    "tokens",
    "operator",
}


def ocsf_event(event: Mapping[str, object], index: int, version: str) -> dict[str, object]:
    """Return an event, given by its canonical members, as an OCSF event; `index` is its leaf in the tree."""
    action = str(event.get("action"))
    activity = _activity(action)
    severity, severity_name = _SEVERITY[severity_of(event)]
    status, status_name = _STATUS.get(str(event.get("outcome")), (2, "Failure"))
    made: dict[str, object] = {
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "activity_id": activity,
        "activity_name": _ACTIVITY_NAMES[activity] if activity != _OTHER else action,
        "type_uid": CLASS * 100 + activity,
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "time": _milliseconds(str(event.get("at"))),
        "metadata": _metadata(event, index, version),
        "actor": _actor(event),
        "api": {"operation": action, "request": {"uid": str(event.get("request_id", "-"))}},
        "src_endpoint": {"name": str(event.get("origin", "-"))},
        "unmapped": {name: value for name, value in event.items() if name not in _MAPPED},
    }
    if "code" in event:
        made["status_code"] = event["code"]
    if "destination" in event:
        made["dst_endpoint"] = {"hostname": event["destination"]}
    if isinstance(tokens := event.get("tokens"), list):
        made["resources"] = [{"uid": token, "type": "token"} for token in tokens]
    return made


def _metadata(event: Mapping[str, object], index: int, version: str) -> dict[str, object]:
    metadata: dict[str, object] = {
        "version": SCHEMA_VERSION,
        "product": {"name": "Panless", "vendor_name": "Panless", "version": version},
        "uid": f"{event.get('chain')}:{event.get('seq')}",
        "sequence": index,
        "original_time": event.get("at"),
    }
    return metadata | ({"tenant_uid": event["tenant"]} if "tenant" in event else {})


def _actor(event: Mapping[str, object]) -> dict[str, object]:
    """An actor is an application, a person, or Panless itself."""
    if "operator" in event:
        return {"user": {"name": event["operator"]}}
    return {"app_name": event.get("app", "panless")}


def _activity(action: str) -> int:
    last = action.rpartition(".")[2]
    for activity, words in (
        (_CREATE, ("tokenize", "add", "create")),
        (_READ, ("reveal", "authenticate")),
        (_UPDATE, ("rotate", "activate", "revoke", "seal", "unseal")),
        (_DELETE, ("erase", "prune", "destroy")),
    ):
        if last in words:
            return activity
    return _OTHER


def _milliseconds(at: str) -> int:
    try:
        return int(datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return 0
