"""Form bodies (application/x-www-form-urlencoded): where the selected values stand.

Rules:
1. Pairs are split as the WHATWG URL standard does (section 5.1): at `&` alone, then at the first `=`. Keys
   are percent-decoded before their brackets are read, so `card%5Bnumber%5D` is `card[number]`.
2. `name[key][0]` is nesting. A number in brackets is a name and an index at once. `[]` appends; below it, a
   key that the current element has already starts the next element (as Rack and jQuery do).
3. A selected pair is a place: the bytes after `=`. Its key stands once, and no other key puts text where it
   needs an object, or the reverse.
4. Receivers read odd keys differently (unbalanced brackets, dots, spaces, NUL, `;` between pairs). The
   plain reading counts; where it selects nothing, but another reading would, the body is refused.
5. A body that begins as JSON is refused: some receivers read it as that, whatever its content type.
6. All keys and all selected values must be percent-encoded UTF-8. Other values are not looked at.
7. Work is linear in the body; pairs, and levels that selectors enter, are limited (MAX_FIELDS). No error and
   no error's context holds a piece of the body.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote_plus

from proxy.rewrite import form_keys as keys
from proxy.rewrite.errors import (
    BodyAmbiguous,
    BodyTooComplex,
    BodyUnreadable,
    DuplicateKey,
    TooManyFields,
    ValueNotText,
)
from proxy.rewrite.places import MAX_DEPTH, Path, Place, add_place
from proxy.rewrite.selectors import State
from vault.sensitive import Sensitive

_pairs = re.compile(rb"[^&]+").finditer
_simple = re.compile(rb"[A-Za-z0-9_-]++(?:\[[A-Za-z0-9_-]*+\])*").fullmatch
_append_key = re.compile(rb"(?:\[|%5[Bb])(?:\s|\+|%20|%0[9AaDd])*(?:\]|%5[Dd])").search
_nested = re.compile(r"[^\[\]]++(?:\[[^\[\]]*+\])*")
_index = re.compile(r"0|[1-9][0-9]{0,8}").fullmatch
_JSON_SPACE = " \t\r\n\0\ufeff"

MAX_FIELDS = 10_000
"""Pairs, and levels below them: about a quarter of a second's work, and ten times what most receivers take."""


def encode(text: str) -> bytes:
    """Return `text` percent-encoded as UTF-8, a space as `+` (WHATWG URL section 5.2; `~` stays, RFC 3986)."""
    return quote_plus(text, safe="*").encode()


def scan(body: bytes, start: State) -> list[Place]:
    """Return the selected values of a form, in body order. Offsets are bytes; spans start after the `=`.

    Raises BodyUnreadable, BodyTooComplex, TooManyFields, TooManyValues, BodyAmbiguous, DuplicateKey, ValueNotText.
    """
    if body.count(b"&") + body.count(b";") > MAX_FIELDS:  # `;` separates, to some
        raise TooManyFields(limit=MAX_FIELDS)
    _refuse_json(body)
    tree = _Tree(start, appends=_append_key(body) is not None, semicolons=b";" in body)
    for found in _pairs(body):
        tree.add(found[0], found.start())
    return tree.places


def _refuse_json(body: bytes) -> None:
    """Refuse JSON under a form's content type, also where an application would read it from the first key."""
    first = next(_pairs(body), None)
    key = keys.decode_anyhow(first[0].partition(b"=")[0]).lstrip(_JSON_SPACE) if first else ""
    if key.startswith(("{", "[")):
        raise BodyUnreadable(offset=0)


class _Element:
    """The array element that `[]` last made below some path."""

    __slots__ = ("index", "keys")

    def __init__(self) -> None:
        self.index = -1
        self.keys: set[tuple[str, ...]] | None = None

    def advance(self, rest: tuple[str, ...]) -> int:
        """The index of the element that a key with `rest` after the `[]` goes to."""
        if not rest:
            self.index, self.keys = self.index + 1, None
        elif self.keys is None or (rest in self.keys and keys.APPEND not in rest):
            self.index, self.keys = self.index + 1, {rest}
        else:
            self.keys.add(rest)
        return self.index


class _Tree:
    """What is known of the part of the tree that selectors can reach."""

    def __init__(self, start: State, *, appends: bool, semicolons: bool) -> None:
        self.start = start.open()
        self.appends = appends
        self.semicolons = semicolons
        self.places: list[Place] = []
        self.leaves: set[Path] = set()
        self.inner: set[Path] = set()
        self.elements: dict[Path, _Element | None] = {}  # None: its elements are numbered
        self.levels = 0

    def add(self, pair: bytes, offset: int) -> None:
        """Take one pair that starts at `offset`."""
        raw_key, equals, raw_value = pair.partition(b"=")
        if _simple(raw_key):
            key = raw_key.decode()
            simple = plain = True
        else:
            key = keys.decode(raw_key, offset)
            simple, plain = False, _nested.fullmatch(key) is not None
        if "[" in key and key.count("[") > MAX_DEPTH:
            raise BodyTooComplex(limit=MAX_DEPTH)
        state, path = self._walk(key, plain=plain, offset=offset)
        if state is not None:
            self._enter(path, offset)
            if state.accepts:
                self._select(state, path, offset + len(raw_key), equals + raw_value)
                return
        if not simple and self._other_selects(key, plain=plain):
            raise BodyAmbiguous(offset=offset)
        if self.semicolons or b"]=" in raw_value:
            self._refuse_hidden(pair, raw_key, raw_value, offset)

    def _walk(self, key: str, *, plain: bool, offset: int) -> tuple[State | None, Path]:
        """Return the state and the path that a key leads to; no state if nothing there or below can match."""
        name = key.partition("[")[0] if plain else key
        state = self.start.by_name(name)
        path: Path = (name,)
        if state is None or len(name) == len(key):
            return state, path
        parts = keys.parts(key)
        self._count(len(parts) - 1)
        for at, part in enumerate(parts[1:], 2):
            if state.accepts:
                raise ValueNotText(selector=state.selector, offset=offset)
            name = self._numbered(state, path, parts[at - 1 :], offset) if self.appends else part
            number = int(name) if _index(name) else None
            state = state.by_name(name) if number is None else state.by_name_or_index(name, number)
            path = (*path, name if number is None else number)
            if state is None:
                break
        return state, path

    def _count(self, levels: int) -> None:
        self.levels += levels
        if self.levels > MAX_FIELDS:
            raise TooManyFields(limit=MAX_FIELDS)

    def _numbered(self, state: State, path: Path, parts: tuple[str, ...], offset: int) -> str:
        """Return the first of `parts`, which are below `path`; for `[]`, the index that it means."""
        part, *rest = parts
        if part != keys.APPEND:
            if self.elements.setdefault(path, None) is not None:
                raise BodyAmbiguous(offset=offset)  # `[0]` after `[]`: receivers count differently
            return part
        element = self.elements.setdefault(path, _Element())
        if element is None or (rest and state.chooses_index()):
            raise BodyAmbiguous(offset=offset)  # below `[]`, some start an element with every key
        return str(element.advance(tuple(rest)))

    def _enter(self, path: Path, offset: int) -> None:
        if path in self.leaves:
            raise DuplicateKey(offset=offset)
        if path in self.inner:
            raise BodyAmbiguous(offset=offset)
        self.leaves.add(path)
        for length in range(len(path) - 1, 0, -1):
            above = path[:length]
            if above in self.leaves:
                raise BodyAmbiguous(offset=offset)
            if above in self.inner:
                break
            self.inner.add(above)

    def _select(self, state: State, path: Path, offset: int, assigned: bytes) -> None:
        if not assigned:  # without `=` there is nothing to fill; receivers read it as null or as empty text
            raise ValueNotText(selector=state.selector, offset=offset)
        if b";" in assigned:  # a separator to some: they would see less of the value
            raise BodyAmbiguous(offset=offset)
        value = Sensitive(keys.decode(assigned[1:], offset + 1))
        add_place(self.places, Place(state.accepts, path, offset + 1, offset + len(assigned), value, encode))

    def _refuse_hidden(self, pair: bytes, raw_key: bytes, raw_value: bytes, offset: int) -> None:
        """Refuse a pair in which another parser finds a selected key: after `;`, or ending at `]=` (qs)."""
        hidden = [piece.partition(b"=")[0] for piece in pair.split(b";")[1:]]
        head, closed, _ = raw_value.partition(b"]=")
        if closed:
            hidden.append(raw_key + b"=" + head + b"]")
        for raw in hidden:
            key = keys.decode_anyhow(raw)
            if self._selects(keys.parts(key)) or self._other_selects(key, plain=False):
                raise BodyAmbiguous(offset=offset)

    def _other_selects(self, key: str, *, plain: bool) -> bool:
        """Whether a parser that reads `key` in another way would reach a selected place."""
        if plain and not keys.is_odd(key):
            return False
        self._count(key.count("["))
        return any(self._selects(parts) for parts in keys.other_readings(key))

    def _selects(self, parts: Sequence[str]) -> bool:
        state: State | None = self.start
        for at, part in enumerate(parts):
            if state is None or state.accepts:
                break
            if part == keys.APPEND:
                state = state.by_any_index()
            elif at and _index(part):
                state = state.by_name_or_index(part, int(part))
            else:
                state = state.by_name(part)
        return state is not None and bool(state.accepts)
