r"""Names of parts (RFC 7578 section 4.2), and what receivers could read in their place.

Browsers write a quote in a name as `%22` and everything else as it is. Others write `\"`, as RFC 2183 does. Receivers
undo one, the other, both or none; some search for `name=` wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from proxy.rewrite.errors import BodyAmbiguous, BodyUnreadable

_form_data = re.compile(r"form-data[ \t]*(?=;|\Z)", re.IGNORECASE).match
_parameter = re.compile(
    r""";[ \t]*+(?:([^\s=;:"',\\/()<>@\[\]?]++)=("(?:[^"\\]|\\.)*"|[!#$%&'*+.^_`|~0-9A-Za-z-]++))?[ \t]*+"""
).match
_quoted_pair = re.compile(r"\\(.)")
_anywhere = re.compile(r"""name[ \t]*+=[ \t]*+[\\"]*+([^\\";]*+)""", re.IGNORECASE).finditer
MAX_READINGS = 16
"""Names in one disposition that only a search for `name=` finds: each is one more reading of the part's name."""
_BY_BROWSERS = {"%22": '"', "%0D": "\r", "%0A": "\n"}
_by_browsers = re.compile("|".join(_BY_BROWSERS), re.IGNORECASE)


class Name(NamedTuple):
    """A part's name and other readings of it."""

    text: str
    others: frozenset[str]


def name_of(disposition: str, offset: int) -> Name:
    """Return the name that a Content-Disposition gives; `offset` is where the part begins.

    Raises BodyUnreadable, BodyAmbiguous.
    """
    found = _parameters(disposition, offset)
    if "name" not in found:
        raise BodyUnreadable(offset=offset)
    if any(each.startswith("name*") for each in found):  # RFC 2231's way, which RFC 7578 forbids
        raise BodyAmbiguous(offset=offset)
    own = found.pop("name")
    raw = own[0].removeprefix('"').removesuffix('"') if own[0].startswith('"') else own[0]
    if "=?" in raw:  # RFC 2047's way of writing text
        raise BodyAmbiguous(offset=offset)
    text = _quoted_pair.sub(r"\1", raw)
    readings = {raw, raw.replace('\\"', '"'), raw.partition('\\"')[0]}
    for number, other in enumerate(_elsewhere(disposition, own, found)):
        if number == MAX_READINGS:
            raise BodyAmbiguous(offset=offset)
        readings |= {other, _quoted_pair.sub(r"\1", other)}
    return Name(text, frozenset(each for known in {text, *readings} for each in _decoded(known)) - {text})


def _parameters(disposition: str, offset: int) -> dict[str, tuple[str, int]]:
    """Return the parameters as they are written, by name in lower case, each with where its value stands."""
    kind = _form_data(disposition)
    if kind is None:
        raise BodyUnreadable(offset=offset)
    found: dict[str, tuple[str, int]] = {}
    at = kind.end()
    while at < len(disposition):
        match = _parameter(disposition, at)
        if match is None or (match[1] and match[1].lower() in found):
            raise BodyAmbiguous(offset=offset)
        if match[1]:
            found[match[1].lower()] = match[2], match.start(2)
        at = match.end()
    return found


def _elsewhere(disposition: str, own: tuple[str, int], others: dict[str, tuple[str, int]]) -> Iterator[str]:
    """What a search for `name=` finds, other than the name itself or a file's name behind it."""
    honest = {at for written, at in others.values() if at > own[1] and "\\" not in written}
    for match in _anywhere(disposition):
        start = match.start(1) - (disposition[match.start(1) - 1] == '"')
        if start != own[1] and start not in honest:
            yield match[1]


def _decoded(name: str) -> set[str]:
    by_browsers = _by_browsers.sub(lambda match: _BY_BROWSERS[match[0].upper()], name)
    return {name, by_browsers, unquote(name), name.strip("' \t")}
