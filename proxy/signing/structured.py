"""The part of Structured Fields (RFC 8941) that signatures are written in. What occurs twice is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from proxy.errors import SignatureMalformed

_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*", re.ASCII)
_STRING = re.compile(r'"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"', re.ASCII)
_VALUE = re.compile(
    _STRING.pattern + r"|-?[0-9]{1,15}|:[A-Za-z0-9+/]*={0,2}:|\?[01]|[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]*", re.ASCII
)
_BYTES = re.compile(r":([A-Za-z0-9+/]*={0,2}):", re.ASCII)
_BETWEEN = re.compile(r"[ \t]*,[ \t]*", re.ASCII)
_SPACES = re.compile(r" *", re.ASCII)


@dataclass(frozen=True, slots=True)
class InnerList:
    """The items, which are strings without parameters, and the list's parameters, as they are written."""

    items: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """The one way in which the RFC writes it."""
        items = " ".join(f'"{item}"' for item in self.items)
        return f"({items})" + "".join(
            f";{name}" if value == "?1" else f";{name}={value}" for name, value in self.parameters
        )

    def text(self, name: str) -> str | None:
        """Return a parameter that is a string."""
        value = dict(self.parameters).get(name)
        return None if value is None else _unquoted(value)

    def number(self, name: str) -> int | None:
        value = dict(self.parameters).get(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?[0-9]+", value, re.ASCII):
            raise SignatureMalformed
        return int(value)

    def with_text(self, name: str, text: str) -> InnerList:
        """Return the list with another string in a parameter, if it is there."""
        quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return InnerList(self.items, tuple((n, quoted if n == name else v) for n, v in self.parameters))


@dataclass(frozen=True, slots=True)
class Member:
    """A dictionary's member: where its value stands, and that value if it is a list or bytes (in base64)."""

    start: int
    end: int
    value: InnerList | str


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def take(self, form: re.Pattern[str]) -> str:
        match = form.match(self.text, self.at)
        if match is None:
            raise SignatureMalformed
        self.at = match.end()
        return match[0]

    def skip(self, literal: str) -> bool:
        if not self.text.startswith(literal, self.at):
            return False
        self.at += len(literal)
        return True

    def inner_list(self) -> InnerList:
        if not self.skip("("):
            raise SignatureMalformed
        items: list[str] = []
        self.take(_SPACES)
        while not self.skip(")"):
            items.append(_unquoted(self.take(_STRING)))
            if self.text.startswith(";", self.at):
                items[-1] += ";" + str(self.parameters())  # no name of a component: it is refused as unknown
            elif not self.take(_SPACES) and not self.text.startswith(")", self.at):
                raise SignatureMalformed
        return InnerList(tuple(items), self.parameters())

    def parameters(self) -> tuple[tuple[str, str], ...]:
        found: dict[str, str] = {}
        while self.skip(";"):
            self.take(_SPACES)
            name = self.take(_KEY)
            if name in found:
                raise SignatureMalformed
            found[name] = self.take(_VALUE) if self.skip("=") else "?1"
        return tuple(found.items())

    def bytes(self) -> str:
        return self.take(_BYTES).strip(":")


def inner_lists(text: str) -> dict[str, Member]:
    """Read a dictionary of inner lists, as in Signature-Input; raises SignatureMalformed."""
    return _dictionary(text, _Reader.inner_list)


def byte_sequences(text: str) -> dict[str, Member]:
    """Read a dictionary of byte sequences, as in Signature; raises SignatureMalformed."""
    return _dictionary(text, _Reader.bytes)


def _dictionary(text: str, read: Callable[[_Reader], InnerList | str]) -> dict[str, Member]:
    reader = _Reader(text)
    found: dict[str, Member] = {}
    while True:
        name = reader.take(_KEY)
        if name in found or not reader.skip("="):
            raise SignatureMalformed
        start = reader.at
        value = read(reader)
        found[name] = Member(start, reader.at, value)
        if reader.at == len(text):
            return found
        reader.take(_BETWEEN)


def _unquoted(text: str) -> str:
    if not _STRING.fullmatch(text):
        raise SignatureMalformed
    return re.sub(r"\\(.)", r"\1", text[1:-1])
