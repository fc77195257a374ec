"""JSON bodies (RFC 8259): where the selected strings stand.

Rules:
1. The whole body must be valid: UTF-8, one value, no NaN or Infinity, no control characters in strings.
   Nothing is nested deeper than MAX_DEPTH.
2. Member names are compared unescaped. Where a selector can enter or select a member, its name stands once
   in its object: receivers disagree about which of two counts.
3. A selected string is a place, quotes included, and so is a whole number of up to 19 digits; what takes its
   place is a number again where it can be one. null holds nothing to protect and stays. Everything else is
   refused: the text of other numbers does not survive every receiver.
4. Work is linear in the body; items that are looked at one by one are limited (MAX_ITEMS), as are all
   containers (MAX_CONTAINERS). Offsets are bytes: the text that is scanned is the body read as Latin-1, in
   which the structure of JSON reads the same as in UTF-8 and one character is one byte.
5. No error and no error's context holds a piece of the body, so errors are raised after the `except` block.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from json import JSONDecodeError, JSONDecoder, dumps, loads
from typing import NoReturn

from proxy.rewrite.errors import (
    BodyTooComplex,
    BodyUnreadable,
    DuplicateKey,
    NumberNotWhole,
    TooManyFields,
    ValueNotText,
)
from proxy.rewrite.places import MAX_DEPTH, Path, Place, add_place
from proxy.rewrite.selectors import State
from vault.sensitive import Sensitive

_SPACE = r"[ \t\n\r]*+"
_PLAIN = r'"[^"\\\x00-\x1f]*+"'
_SCALAR = rf"(?:{_PLAIN}|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)"
_space = re.compile(_SPACE).match
_comma = re.compile(rf"{_SPACE},{_SPACE}").match
_colon = re.compile(rf"{_SPACE}:{_SPACE}").match
_plain_name = re.compile(rf'"([^"\\\x00-\x1f]*+)"{_SPACE}:{_SPACE}').match
_strings = re.compile(rb'"[^"]*+(?:"|\Z)')  # in a body without escaped quotes; the unended last one, too
_constants = re.compile(rb'"[^"]*+"|(NaN|-?Infinity)').finditer
_surrogate = re.compile("[\ud800-\udfff]").search
_whole_number = re.compile(r"(?:0|[1-9][0-9]{0,18})", re.ASCII).fullmatch
_STEPS = 64
MAX_ITEMS = 50_000
"""Members and elements that are looked at one by one: about a quarter of a second's work."""
MAX_CONTAINERS = 250_000
"""Objects and arrays, also those that are only checked: the check makes a list of each."""
_OPENING = frozenset("{[")
_NUMBER = frozenset("-0123456789")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_LEVEL = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class _ConstantError(Exception):
    """NaN or an infinity. It never leaves this module."""


def _refuse_constant(_: str) -> NoReturn:
    raise _ConstantError


# C code that checks one value and says where it ends; the hooks keep it from building what nobody reads.
_check: Callable[[str, int], tuple[object, int]] = JSONDecoder(  # type: ignore[attr-defined]  # not in typeshed
    object_pairs_hook=len, parse_int=len, parse_float=len, parse_constant=_refuse_constant
).scan_once


def encode(text: str) -> bytes:
    """Return `text` as a JSON string with its quotes; only what must be escaped is (RFC 8259 section 7)."""
    return dumps(text, ensure_ascii=False).encode()


def encode_number(text: str) -> bytes:
    """Return `text` as a number where it is a whole one, else as a string."""
    return text.encode() if _whole_number(text) else encode(text)


def scan(body: bytes, start: State) -> list[Place]:
    """Return the selected values of a JSON text, in body order. Offsets are bytes; spans include the quotes.

    Raises BodyUnreadable, BodyTooComplex, TooManyFields, TooManyValues, DuplicateKey, ValueNotText, NumberNotWhole.
    """
    _refuse_bad_utf8(body)
    _refuse_deep(body)
    walk = _Walk(body)
    at = walk.value(walk.after_space(0), start, ())
    while walk.frames:
        names = walk.frames[-1].names
        at = walk.elements(at) if names is None else walk.members(at, names)
    if walk.after_space(at) != len(body):
        raise BodyUnreadable(offset=walk.after_space(at))
    return walk.places


def without_escaped_quotes(body: bytes) -> bytes:
    """Return JSON of the same length in which every `"` opens or closes a string.

    A pattern that steps over escapes would remember each of them: a gigabyte for some bodies.
    """
    return body.replace(b"\\\\", b"__").replace(b'\\"', b"__")


def has_lone_surrogate(text: str) -> bool:
    """Whether `text` holds half a surrogate pair, which no encoding can carry."""
    return _surrogate(text) is not None


def _refuse_bad_utf8(body: bytes) -> None:
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        offset = error.start
    else:
        return
    raise BodyUnreadable(offset=offset)


def _refuse_deep(body: bytes) -> None:
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return
    brackets = _strings.sub(b"", without_escaped_quotes(body)).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_LEVEL.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise BodyTooComplex(limit=MAX_DEPTH)
    if len(brackets) > 2 * MAX_CONTAINERS:
        raise TooManyFields(limit=MAX_CONTAINERS)


class _Frame:
    """An object or array that is walked because something below it can be selected."""

    __slots__ = ("count", "names", "path", "state")

    def __init__(self, state: State, path: Path, *, is_object: bool) -> None:
        self.state = state.open()
        self.path = path
        self.names: set[str] | None = set() if is_object else None  # of members that selectors can enter
        self.count = 0


@lru_cache(maxsize=1024)
def _untouched(state: State) -> Callable[[str, int], re.Match[str] | None] | None:
    """A matcher that steps, in C, over all following members that no selector can enter and that hold no container.

    It leaves names with escapes alone: they may be any name. None if every name matters. At most _STEPS at a time: a
    possessive group would have no need for that, but matches wrongly in Python 3.11.0 to 3.11.4 (gh-106052).
    """
    if state.other_name is not None:
        return None
    named = "|".join(re.escape(name.encode().decode("latin-1")) for name in state.names)
    other_name = rf'(?!"(?:{named})"){_PLAIN}' if named else _PLAIN
    return re.compile(f"(?:{_SPACE},{_SPACE}{other_name}{_SPACE}:{_SPACE}{_SCALAR}){{0,{_STEPS}}}").match


def _step_over(untouched: Callable[[str, int], re.Match[str] | None], text: str, at: int) -> int:
    while (end := untouched(text, at).end()) != at:  # type: ignore[union-attr]  # it always matches
        at = end
    return at


class _Walk:
    """A walk over one body. `frames` are the open containers, outermost first."""

    def __init__(self, body: bytes) -> None:
        self.text = body.decode("latin-1")
        self.places: list[Place] = []
        self.frames: list[_Frame] = []
        self.items = 0

    def after_space(self, at: int) -> int:
        return _space(self.text, at).end()  # type: ignore[union-attr]  # it always matches

    def value(self, at: int, state: State, path: Path) -> int:
        """Take the value at `at`. Return where it ends or, if it opened a frame, where its content starts."""
        first = self.text[at : at + 1]
        if state.accepts:
            return self._selected(at, first, state, path)
        if first in _OPENING and state.leads_into(is_object=first == "{"):
            self.frames.append(_Frame(state, path, is_object=first == "{"))
            return self.after_space(at + 1)
        return self._skip(at)

    def members(self, at: int, names: set[str]) -> int:
        """Go on with the innermost frame, an object, until it closes or opens another; return where."""
        frame, depth = self.frames[-1], len(self.frames)
        next_state, other, untouched = frame.state.names.get, frame.state.other_name, _untouched(frame.state)
        while True:
            if untouched and frame.count:
                at = _step_over(untouched, self.text, at)
            at = self._next_item(at, frame, "}")
            if at < 0:
                return ~at
            name, value_at = self._name(at)
            state = next_state(name, other)
            if state is None:
                at = self._skip(value_at)
                continue
            if name in names:
                raise DuplicateKey(offset=at)
            names.add(name)
            at = self.value(value_at, state, (*frame.path, name))
            if len(self.frames) > depth:
                return at

    def elements(self, at: int) -> int:
        """Go on with the innermost frame, an array, as `members` does."""
        frame, depth = self.frames[-1], len(self.frames)
        next_state, other = frame.state.indexes.get, frame.state.other_index
        while (at := self._next_item(at, frame, "]")) >= 0:
            index = frame.count - 1
            state = next_state(index, other)
            if state is None:
                at = self._skip(at)
                continue
            at = self.value(at, state, (*frame.path, index))
            if len(self.frames) > depth:
                return at
        return ~at

    def _next_item(self, at: int, frame: _Frame, closing: str) -> int:
        """Return where the frame's next item starts or, if the frame closes here, where it ends, as ~end."""
        self.items += 1
        if self.items > MAX_ITEMS:
            raise TooManyFields(limit=MAX_ITEMS)
        comma = _comma(self.text, at)
        if comma and frame.count:
            frame.count += 1
            return comma.end()
        at = self.after_space(at)
        if self.text[at : at + 1] == closing:
            self.frames.pop()
            return ~(at + 1)
        if comma or frame.count or at == len(self.text):
            raise BodyUnreadable(offset=at)
        frame.count = 1
        return at

    def _name(self, at: int) -> tuple[str, int]:
        """Return the member name at `at`, unescaped, and where its value starts."""
        plain = _plain_name(self.text, at)
        if plain:
            name = plain[1]
            return name if name.isascii() else _from_utf8(name), plain.end()
        if self.text[at : at + 1] != '"':
            raise BodyUnreadable(offset=at)
        name, end = self._string(at)
        colon = _colon(self.text, end)
        if colon is None:
            raise BodyUnreadable(offset=self.after_space(end))
        return name, colon.end()

    def _string(self, at: int) -> tuple[str, int]:
        """Return the string whose opening quote is at `at`, unescaped, and where it ends."""
        end = self._skip(at)
        text = self.text[at + 1 : end - 1]
        if not text.isascii():
            text = _from_utf8(text)
        return (loads(f'"{text}"') if "\\" in text else text), end

    def _selected(self, at: int, first: str, state: State, path: Path) -> int:
        if first == '"':
            value, end = self._string(at)
            if has_lone_surrogate(value):
                raise BodyUnreadable(offset=at)
            add_place(self.places, Place(state.accepts, path, at, end, Sensitive(value), encode))
            return end
        end = self._skip(at)
        if first == "n":
            return end
        if _whole_number(number := self.text[at:end]):
            add_place(self.places, Place(state.accepts, path, at, end, Sensitive(number), encode_number))
            return end
        refusal = NumberNotWhole if first in _NUMBER else ValueNotText
        raise refusal(selector=state.selector, offset=at)

    def _skip(self, at: int) -> int:
        """Return where the value at `at` ends. It is checked, and nothing in it is looked for."""
        try:
            return _check(self.text, at)[1]
        except StopIteration as stop:
            offset = int(stop.value)
        except JSONDecodeError as error:
            offset = error.pos
        except _ConstantError:
            rest = without_escaped_quotes(self.text[at:].encode("latin-1"))
            offset = at + next((found.start(1) for found in _constants(rest) if found[1]), 0)
        raise BodyUnreadable(offset=offset)


def _from_utf8(text: str) -> str:
    return text.encode("latin-1").decode()
