"""The formats that events leave in, as one line each. Pure."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vault.audit.cef import cef_line
from vault.audit.chains import members_of
from vault.audit.ocsf import ocsf_event

Format = Literal["jsonl", "cef", "ocsf"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that a checkpoint covers: its leaf in the tree, and its canonical body."""

    index: int
    body: bytes


def line_of(entry: Entry, form: Format, version: str) -> str:
    """Return an event as one line. One that was changed so that it cannot be read is told as it is, as JSON."""
    members = members_of(entry.body)
    if form == "jsonl" or members is None:
        return entry.body.decode("ascii", "backslashreplace").replace("\n", "\\n")
    if form == "cef":
        return cef_line(members, entry.index, version)
    return json.dumps(ocsf_event(members, entry.index, version), separators=(",", ":"))


def is_wanted(entry: Entry, only: Sequence[str]) -> bool:
    """Tell whether an event's action fits one of the patterns (`break_glass.*`); all do if there are none."""
    if not only:
        return True
    action = str((members_of(entry.body) or {}).get("action"))
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in only)
