"""The tree that bracket keys name: which place a key leads to, and whether receivers agree about that.

Rules:
1. `name[key][0]` is nesting. A number in brackets is a name and an index at once. `[]` appends; below it, a
   key that the current element has already starts the next element (as Rack and jQuery do).
2. A key that leads to a selected place stands once, and no other key puts text where it needs an object, or
   the reverse.
3. Receivers read odd keys differently (see `form_keys`). The plain reading counts; where it selects nothing,
   but another reading would, the body is refused.
4. Levels that selectors enter are limited (MAX_FIELDS), so that work is linear in the body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from proxy.rewrite import form_keys as keys
from proxy.rewrite.errors import BodyAmbiguous, BodyTooComplex, DuplicateKey, TooManyFields, ValueNotText
from proxy.rewrite.places import MAX_DEPTH, Path
from proxy.rewrite.selectors import State

_nested = re.compile(r"[^\[\]]++(?:\[[^\[\]]*+\])*")
_index = re.compile(r"0|[1-9][0-9]{0,8}").fullmatch

MAX_FIELDS = 10_000
"""Pairs, and levels below them: about a quarter of a second's work, and ten times what most receivers take."""


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


class KeyTree:
    """What is known of the part of the tree that selectors can reach.

    `appends` says whether any key holds `[]`.
    """

    def __init__(self, start: State, *, appends: bool) -> None:
        self._start = start.open()
        self._appends = appends
        self._leaves: set[Path] = set()
        self._inner: set[Path] = set()
        self._elements: dict[Path, _Element | None] = {}  # None: its elements are numbered
        self._levels = 0

    def enter(self, key: str, offset: int, *, simple: bool = False) -> tuple[State | None, Path]:
        """Return the state and the path that a key leads to; no state if nothing there or below can match.

        `simple`: the caller knows that the key is plain and not odd. Raises BodyTooComplex, TooManyFields,
        DuplicateKey, BodyAmbiguous, ValueNotText.
        """
        plain = simple or _nested.fullmatch(key) is not None
        if "[" in key and key.count("[") > MAX_DEPTH:
            raise BodyTooComplex(limit=MAX_DEPTH)
        state, path = self._walk(key, plain=plain, offset=offset)
        if state is not None:
            self.take(path, offset)
            if state.accepts:
                return state, path
        if not simple and self._other_selects(key, plain=plain):
            raise BodyAmbiguous(offset=offset)
        return state, path

    def take(self, path: Path, offset: int) -> None:
        """Take a key that leads to this path; raises DuplicateKey or BodyAmbiguous where others contradict it."""
        if path in self._leaves:
            raise DuplicateKey(offset=offset)
        if path in self._inner:
            raise BodyAmbiguous(offset=offset)
        self._leaves.add(path)
        for length in range(len(path) - 1, 0, -1):
            above = path[:length]
            if above in self._leaves:
                raise BodyAmbiguous(offset=offset)
            if above in self._inner:
                break
            self._inner.add(above)

    def any_selects(self, key: str) -> bool:
        """Whether any reading of what may be no key at all reaches a selected place."""
        return any(state.accepts for state in self.reached(key))

    def reached(self, key: str) -> Iterator[State]:
        """The states that any reading of what may be no key at all leads to."""
        self._count(1 + key.count("["))
        for parts in (keys.parts(key), *keys.other_readings(key)):
            state = self._reach(parts)
            if state is not None:
                yield state

    def _walk(self, key: str, *, plain: bool, offset: int) -> tuple[State | None, Path]:
        """Return the state and the path that a key leads to; no state if nothing there or below can match."""
        name = key.partition("[")[0] if plain else key
        state = self._start.by_name(name)
        path: Path = (name,)
        if state is None or len(name) == len(key):
            return state, path
        parts = keys.parts(key)
        self._count(len(parts) - 1)
        for at, part in enumerate(parts[1:], 2):
            if state.accepts:
                raise ValueNotText(selector=state.selector, offset=offset)
            name = self._numbered(state, path, parts[at - 1 :], offset) if self._appends else part
            number = int(name) if _index(name) else None
            state = state.by_name(name) if number is None else state.by_name_or_index(name, number)
            path = (*path, name if number is None else number)
            if state is None:
                break
        return state, path

    def _count(self, levels: int) -> None:
        self._levels += levels
        if self._levels > MAX_FIELDS:
            raise TooManyFields(limit=MAX_FIELDS)

    def _numbered(self, state: State, path: Path, parts: tuple[str, ...], offset: int) -> str:
        """Return the first of `parts`, which are below `path`; for `[]`, the index that it means."""
        part, *rest = parts
        if part != keys.APPEND:
            if self._elements.setdefault(path, None) is not None:
                raise BodyAmbiguous(offset=offset)  # `[0]` after `[]`: receivers count differently
            return part
        element = self._elements.setdefault(path, _Element())
        if element is None or (rest and state.chooses_index()):
            raise BodyAmbiguous(offset=offset)  # below `[]`, some start an element with every key
        return str(element.advance(tuple(rest)))

    def _other_selects(self, key: str, *, plain: bool) -> bool:
        """Whether a parser that reads `key` in another way would reach a selected place."""
        if plain and not keys.is_odd(key):
            return False
        self._count(key.count("["))
        return any(state and state.accepts for state in map(self._reach, keys.other_readings(key)))

    def _reach(self, parts: Sequence[str]) -> State | None:
        state: State | None = self._start
        for at, part in enumerate(parts):
            if state is None or state.accepts:
                break
            if part == keys.APPEND:
                state = state.by_any_index()
            elif at and _index(part):
                state = state.by_name_or_index(part, int(part))
            else:
                state = state.by_name(part)
        return state
