"""Keys of form bodies: how they are decoded, and how parsers of other languages split them.

Receivers read odd keys differently (unbalanced brackets, dots, spaces, NUL). `other_readings` gives what they
would make of one, so that a body can be refused in which one of them would find a selected value.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Iterator

from proxy.rewrite.errors import BodyUnreadable

_bad_escape = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_part = re.compile(r"\[\s*\]|[^\[\]]+").findall
_ESCAPE = ord("%")
_odd = re.compile(r"[.\s\0\ufeff]").search
_TO_UNDERSCORE = {ord("."): "_", ord(" "): "_"}

APPEND = ""
"""The part that `[]` is."""


def decode(raw: bytes, offset: int) -> str:
    """Percent-decode; `offset` is where `raw` stands in the body. Raises BodyUnreadable."""
    if raw.isascii() and _ESCAPE not in raw:
        return raw.replace(b"+", b" ").decode()
    if _ESCAPE in raw:
        bad = _bad_escape.search(raw)
        if bad:
            raise BodyUnreadable(offset=offset + bad.start())
    try:
        return _unquote(raw).decode()
    except UnicodeDecodeError:
        pass
    raise BodyUnreadable(offset=offset)


def decode_anyhow(raw: bytes) -> str:
    """Percent-decode what may be no key at all."""
    return _unquote(_bad_escape.sub(b"%25", raw)).decode(errors="replace")


def _unquote(raw: bytes) -> bytes:
    """Undo well-formed percent-encoding, as quoted-printable: urllib's way takes a hundred times the memory."""
    raw = raw.replace(b"+", b" ")
    return a2b_qp(raw.replace(b"=", b"=3D").replace(b"%", b"=")) if b"%" in raw else raw


def parts(key: str) -> tuple[str, ...]:
    """Split at brackets, balanced or not; `[]` is an empty part."""
    return tuple([APPEND if part[0] == "[" else part for part in _part(key)])


def is_odd(key: str) -> bool:
    """Whether parsers read even a key with balanced brackets in different ways."""
    return _odd(key) is not None


def other_readings(key: str) -> Iterator[tuple[str, ...]]:
    """How other parsers split a key that is not plain.

    PHP and qs drop what follows the last bracket; that needs no line here, as a place on the way counts.
    """
    key = key.partition("\0")[0].strip(" \t\r\n\ufeff")  # C strings end at NUL; PHP skips leading spaces
    split = parts(key.lstrip("[]"))  # Rack, qs: a leading bracket is dropped
    yield split
    yield tuple([part for part in split if part != APPEND])  # Rack: any other run of brackets separates
    yield parts(key.lstrip("[]").replace(".", "["))  # ASP.NET, Spring: dots nest
    head, bracket, rest = key.partition("[")
    if bracket and "]" not in rest:
        head, rest = f"{head}_{rest}", ""  # PHP: an unclosed bracket is an underscore
    head = head.translate(_TO_UNDERSCORE)  # PHP: and so are dots and spaces
    yield parts(f"{head}[{rest}" if rest else head)
