"""One value of a JSON body, or of a header, that an event is known or ordered by."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from proxy.rewrite.message import Headers
from proxy.signing.scheme import header_values

PICK = r"^(?:\$(?:\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]{1,3}\])+|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$"
HEADER = "header:"
MOST = 512
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]{1,3})\]", re.ASCII)


class Unreadable(Exception):
    """The body is not one JSON text that everybody reads in the same way. Nothing of it is in here."""


@dataclass(frozen=True, slots=True)
class Pick:
    """`header:NAME`, or a path of names and indexes, `$.data.object.id`."""

    text: str

    @property
    def header(self) -> str | None:
        return self.text.removeprefix(HEADER) if self.text.startswith(HEADER) else None

    def of(self, headers: Headers, body: bytes) -> str | None:
        """Return the value; None if it is not there, or no text or number of 1 to 512 characters."""
        if self.header is not None:
            values = header_values(headers, self.header)
            found: Any = values[0] if len(values) == 1 else None
        else:
            found = self._in(body)
        return found if isinstance(found, str) and 0 < len(found) <= MOST else None

    def _in(self, body: bytes) -> Any:
        try:
            found = read(body)
        except Unreadable:
            return None
        for name, index in _STEP.findall(self.text):
            if name and isinstance(found, dict):
                found = found.get(name)
            elif index and isinstance(found, list) and int(index) < len(found):
                found = found[int(index)]
            else:
                return None
        return found


def read(body: bytes) -> Any:
    """Return the JSON text in a body, with numbers as the text that they are written in; raises Unreadable.

    Names that stand twice in an object are refused: receivers disagree about which of two counts.
    """
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse,
        )
    except (ValueError, RecursionError):
        pass
    raise Unreadable


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse("")
    return found


def _refuse(_: str) -> NoReturn:
    raise ValueError
