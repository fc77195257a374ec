"""Selectors: which values of a body are meant, whatever the body's type.

Rules:
1. The language is a part of RFC 9535 JSONPath: names, indexes from 0, wildcards, descendants, lists of
   these. What would need the whole document in memory (filters, slices, negative indexes) is refused.
2. A selector is matched while a scanner walks, one key at a time. No state (None) means: nothing below can
   match, skip it.
3. All selectors of a route advance together, as one set of positions (an NFA). Steps are remembered, so a
   body costs a dictionary look-up per key; what is remembered is bounded.
4. Nothing that came in a body is remembered: only names and indexes from the configuration become keys.
5. Outside the body, `query:NAME` and `header:NAME`. A query is read as a form is, so NAME may have brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple, final

from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError
from jsonpath.segments import JSONPathRecursiveDescentSegment, JSONPathSegment
from jsonpath.selectors import IndexSelector, NameSelector, WildcardSelector

from proxy.rewrite import form_keys
from proxy.rewrite.errors import SelectorInvalid
from proxy.rewrite.places import MAX_DEPTH

_MAX_STATES = 1024
_QUERY_NAME = re.compile(r"[^\[\]]+(?:\[[^\[\]]+\])*")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)
_JSONPATH = JSONPathEnvironment(strict=True)


class _Segment(NamedTuple):
    keys: frozenset[str | int]
    wildcard: bool
    descends: bool

    def takes(self, key: str | int) -> bool:
        return self.wildcard or key in self.keys

    @property
    def passes_lists(self) -> bool:
        """Whether it goes on from a list: by an index, a wildcard or as a descendant."""
        return self.wildcard or self.descends or any(isinstance(key, int) for key in self.keys)


class Where(Enum):
    """The part of a message that a selector looks into."""

    BODY = "body"
    PATH = "path"
    QUERY = "query"
    HEADER = "header"


@final
class Selector:
    """One selector, immutable. Equal when written the same; `str()` gives the text back.

    `header` is the header's name in lower case, for `header:NAME`.
    """

    __slots__ = ("_text", "header", "segments", "where")

    def __init__(self, text: str, segments: tuple[_Segment, ...], where: Where = Where.BODY) -> None:
        self._text = text
        self.segments = segments
        self.where = where
        self.header = text.partition(":")[2].lower() if where is Where.HEADER else ""

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read a selector of the configuration, for example `$.cards[*].number`.

        Raises SelectorInvalid.
        """
        where, _, name = text.partition(":")
        if where == Where.QUERY.value:
            return cls(text, _query_segments(text, name), Where.QUERY)
        if where == Where.HEADER.value:
            if not _HEADER.fullmatch(name.lower()):
                raise SelectorInvalid(selector=text, reason="that is not the name of a header")
            return cls(text, (), Where.HEADER)
        segments = _segments(text)
        if not segments:
            raise SelectorInvalid(selector=text, reason="it selects the whole body")
        if len(segments) > MAX_DEPTH:
            raise SelectorInvalid(selector=text, reason=f"it has more than {MAX_DEPTH} segments")
        return cls(text, tuple(_segment(text, segment) for segment in segments))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Selector({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


FOUND = Selector("(found by the guard)", ())
"""Stands for what nothing in the configuration selects."""


def _query_segments(text: str, name: str) -> tuple[_Segment, ...]:
    parts = form_keys.parts(name)
    if not _QUERY_NAME.fullmatch(name) or form_keys.is_odd(name) or len(parts) > MAX_DEPTH:
        raise SelectorInvalid(selector=text, reason="it has to be a plain name, or one with keys in brackets")
    keys: list[set[str | int]] = [{part, int(part)} if part.isdecimal() else {part} for part in parts]
    return tuple(_Segment(frozenset(each), wildcard=False, descends=False) for each in keys)


def _segments(text: str) -> Sequence[JSONPathSegment]:
    try:
        return tuple(_JSONPATH.compile(text).segments)  # type: ignore[union-attr]  # strict: no compound paths
    except JSONPathError as error:
        reason = str(error.args[0]) if error.args else "it is not JSONPath"
    except (RecursionError, ValueError):  # the library's own, for some numbers
        reason = "it is not JSONPath"
    raise SelectorInvalid(selector=text, reason=reason)


def _segment(text: str, segment: JSONPathSegment) -> _Segment:
    keys: set[str | int] = set()
    wildcard = False
    for selector in segment.selectors:
        if isinstance(selector, NameSelector):
            keys.add(selector.name)
        elif isinstance(selector, IndexSelector) and selector.index >= 0:
            keys.add(selector.index)
        elif isinstance(selector, WildcardSelector):
            wildcard = True
        else:
            raise SelectorInvalid(selector=text, reason=f"[{selector}] is not supported")
    return _Segment(frozenset(keys), wildcard, isinstance(segment, JSONPathRecursiveDescentSegment))


_Positions = frozenset[tuple[int, int]]  # (number of the selector, segments passed)


@final
class State:
    """Where all selectors stand after some path. Scanners ask for the next state; None ends the search.

    `accepts`: numbers of the selectors that select this very place. `enterable`: whether one can match below.
    `names`, `other_name`, `indexes`, `other_index`: the next states, for the keys that selectors name and for
    all others; valid after `open()`.
    """

    __slots__ = (
        "_any_index", "_automaton", "_either", "_open", "_positions", "_repeatable", "_siblings", "accepts",
        "enterable", "indexes", "names", "other_index", "other_name",
    )  # fmt: skip

    def __init__(self, automaton: Automaton, positions: _Positions) -> None:
        ends = [len(selector.segments) for selector in automaton.selectors]
        self._automaton = automaton
        self._positions = positions
        self._open = False
        self.accepts = tuple(sorted(number for number, passed in positions if passed == ends[number]))
        self.enterable = len(self.accepts) < len(positions)
        self.names: dict[str, State | None] = {}
        self.indexes: dict[int, State | None] = {}
        self.other_name: State | None = None
        self.other_index: State | None = None
        self._either: dict[str, State | None] = {}
        self._any_index: State | None = None
        self._siblings: dict[int | None, State] = {}
        self._repeatable: dict[str, bool] = {}

    @property
    def selector(self) -> str:
        """The text of the first selector that selects this place, for an error."""
        return str(self._automaton.selectors[self.accepts[0]])

    def open(self) -> State:
        """Work out the next states, once, and return self."""
        if not self._open:
            step = self._automaton.step
            self.other_name = self.other_index = step(self._positions, ())
            for key in self._automaton.keys(self._positions):
                if isinstance(key, str):
                    self.names[key] = step(self._positions, (key,))
                else:
                    self.indexes[key] = step(self._positions, (key,))
            self._any_index = step(self._positions, tuple(self.indexes))
            self._open = True
        return self

    def leads_into(self, *, is_object: bool) -> bool:
        """Whether something in an object, or in an array, that stands here can be selected."""
        self.open()
        if is_object:
            return bool(self.names) or self.other_name is not None
        return bool(self.indexes) or self.other_index is not None

    def by_name(self, name: str) -> State | None:
        self.open()
        return self.names.get(name, self.other_name)

    def by_name_or_index(self, name: str, index: int) -> State | None:
        """The next state for a key that may be a name or an index, as `[0]` in a form.

        `name` is how RFC 9535 writes `index`: there are no more of them to remember than the configuration has.
        """
        self.open()
        if name not in self.names and index not in self.indexes:
            return self.other_name
        if name not in self._either:
            self._either[name] = self._automaton.step(self._positions, (name, index))
        return self._either[name]

    def chooses_index(self) -> bool:
        """Whether it matters here which element a value is in."""
        self.open()
        return bool(self.indexes) or any(name.isdecimal() for name in self.names)

    def by_any_index(self) -> State | None:
        """The next state for an element whose index is not known: whatever some index would reach."""
        return self.open()._any_index

    def or_element(self, index: int) -> State:
        """This state, and the next one for `index`: for what may be a list's element, or stand for itself.

        An index that no selector names is remembered as None.
        """
        self.open()
        known = index if index in self.indexes else None
        if known not in self._siblings:
            self._siblings[known] = self._automaton.union(self, self.indexes.get(index, self.other_index))
        return self._siblings[known]

    def may_repeat(self, name: str) -> bool:
        """Whether every selector that names `name` here goes on with an index, a wildcard or `..`."""
        if name not in self.open().names:
            return True
        if name not in self._repeatable:
            self._repeatable[name] = self._automaton.may_repeat(self._positions, name)
        return self._repeatable[name]

    def text_of(self, number: int) -> str:
        """The text of a selector, for an error."""
        return str(self._automaton.selectors[number])


@final
class Automaton:
    """All selectors of a route, compiled."""

    def __init__(self, selectors: tuple[Selector, ...]) -> None:
        self.selectors = selectors
        self._root: _Positions = frozenset((number, 0) for number in range(len(selectors)))
        self._states: dict[_Positions, State] = {}
        self._nowhere = State(self, frozenset())

    def start(self) -> State:
        """The state at the root of a body."""
        if len(self._states) > _MAX_STATES:  # lists of wildcards after `..` have exponentially many
            self._states = {}
        return self._state(self._root) or self._nowhere

    def keys(self, positions: _Positions) -> set[str | int]:
        """The keys that the next segments name."""
        return {key for _, segment in self._next(positions) for key in segment.keys}

    def step(self, positions: _Positions, keys: tuple[str | int, ...]) -> State | None:
        """Advance over one key known under any of `keys`; with none, over a key that no selector names."""
        after: set[tuple[int, int]] = set()
        for (number, passed), segment in self._next(positions):
            if segment.wildcard or any(segment.takes(key) for key in keys):
                after.add((number, passed + 1))
            if segment.descends:
                after.add((number, passed))
        return self._state(frozenset(after))

    def _next(self, positions: _Positions) -> Iterable[tuple[tuple[int, int], _Segment]]:
        for number, passed in positions:
            segments = self.selectors[number].segments
            if passed < len(segments):
                yield (number, passed), segments[passed]

    def _state(self, positions: _Positions) -> State | None:
        if not positions:
            return None
        state = self._states.get(positions)
        if state is None:
            state = self._states[positions] = State(self, positions)
        return state

    def union(self, one: State, other: State | None) -> State:
        """The state of all selectors that stand in either."""
        if other is None:
            return one
        return self._state(one._positions | other._positions) or one

    def may_repeat(self, positions: _Positions, name: str) -> bool:
        """Whether the selectors that name `name` next go on with an index, a wildcard or a descendant."""
        for (number, passed), segment in self._next(positions):
            after = self.selectors[number].segments[passed + 1 : passed + 2]
            if name in segment.keys and not segment.wildcard and not any(each.passes_lists for each in after):
                return False
        return True
