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
from itertools import accumulate
from json import JSONDecodeError, JSONDecoder, loads
from json.encoder import encode_basestring
from typing import NoReturn

from proxy.rewrite.errors import (
    BodyTooComplex,
    BodyUnreadable,
    DuplicateKey,
    NumberNotWhole,
    TooManyFields,
    ValueNotText,
)
from proxy.rewrite.json_steps import (
    CLOSING,
    COLON,
    COMMA,
    LAST_STRING,
    NAME,
    OPENING,
    OTHER,
    PLAIN,
    SPACE,
    STRING,
    steps,
)
from proxy.rewrite.places import MAX_DEPTH, Path, Place, add_place
from proxy.rewrite.selectors import State
from vault.sensitive import Sensitive

_space = re.compile(SPACE).match
_comma = re.compile(COMMA).match
_colon = re.compile(COLON).match
_plain_name = re.compile(rf'"({PLAIN})"{COLON}').match
_strings = re.compile(rb'"[^"]*+(?:"|\Z)')  # in a body without escaped quotes; the unended last one, too
_constants = re.compile(rb'"[^"]*+"|(NaN|-?Infinity)').finditer
_surrogate = re.compile("[\ud800-\udfff]").search
_whole_number = re.compile(r"(?:0|[1-9][0-9]{0,18})", re.ASCII).fullmatch
MAX_ITEMS = 50_000
"""Members and elements that are looked at one by one: about a quarter of a second's work."""
MAX_CONTAINERS = 250_000
"""Objects and arrays, also those that are only checked: the check makes a list of each."""
_OPENING = frozenset("{[")
_NUMBER = frozenset("-0123456789")
_BACKSLASH = ord("\\")
_NOT_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
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
    return encode_basestring(text).encode()


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
    if at != len(body) and (at := walk.after_space(at)) != len(body):
        raise BodyUnreadable(offset=at)
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
    brackets = _brackets(body)
    # Without pairs that hold nothing each bracket stands as deep as before, and at most two levels are gone.
    left = brackets.replace(b"{}", b"").replace(b"[]", b"")
    if len(left) > MAX_DEPTH - 2 and max(accumulate(map(_LEVEL.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise BodyTooComplex(limit=MAX_DEPTH)
    if len(brackets) > 2 * MAX_CONTAINERS:
        raise TooManyFields(limit=MAX_CONTAINERS)


def _brackets(body: bytes) -> bytes:
    """Return the brackets that stand outside strings."""
    if _BACKSLASH in body:
        body = without_escaped_quotes(body)
    # Without a pair of quotes that has no bracket in it, each bracket is in a string if it was in one before.
    return _strings.sub(b"", body.translate(None, _NOT_BRACKETS).replace(b'""', b""))


class _Walk:
    """A walk over one body, as deep as MAX_DEPTH."""

    __slots__ = ("_is_ascii", "_items", "_text", "places")

    def __init__(self, body: bytes) -> None:
        self._text = body.decode("latin-1")
        self._is_ascii = self._text.isascii()
        self._items = 0
        self.places: list[Place] = []

    def after_space(self, at: int) -> int:
        return _space(self._text, at).end()  # type: ignore[union-attr]  # it always matches

    def value(self, at: int, state: State, path: Path) -> int:
        """Take the value at `at`. Return where it ends."""
        first = self._text[at : at + 1]
        if state.accepts:
            return self._selected(at, first, state, path)
        if first in _OPENING and state.leads_into(is_object=first == "{"):
            return (self._members if first == "{" else self._elements)(at + 1, state, path)
        return self._skip(at)

    def _members(self, at: int, state: State, path: Path) -> int:
        """Take the members of an object whose content starts at `at`. Return where it ends."""
        step, following = steps(state)
        names: set[str] = set()  # of members that selectors can enter
        while True:
            found = step(self._text, at)
            stopped = found.lastindex or 0
            if stopped < NAME and found.end() != at:
                at, step = found.end(), following
                continue
            self._items += 1
            if self._items > MAX_ITEMS:
                raise TooManyFields(limit=MAX_ITEMS)
            if stopped == CLOSING:
                return found.end()
            if stopped >= NAME:
                at = self._member(found, stopped, state, path, names)
                if stopped == LAST_STRING:
                    return at
            else:
                at = self._odd_member(at, state, path, names, is_first=step is not following)
                if at < 0:
                    return ~at
            step = following

    def _member(self, found: re.Match[str], stopped: int, state: State, path: Path, names: set[str]) -> int:
        """Take the member that a step stopped at. Return where the step or the member's value ends."""
        if stopped == OTHER:
            return self._skip(found.end())
        name = found[NAME]
        if not self._is_ascii:
            name = _from_utf8(name)
        if name in names:
            raise DuplicateKey(offset=found.start(NAME) - 1)
        names.add(name)
        below = state.names.get(name, state.other_name)
        if below is None:  # never: steps stop at names that lead somewhere
            raise BodyUnreadable(offset=found.start(NAME))
        if stopped == NAME:
            return self.value(found.end(), below, (*path, name))
        if stopped == OPENING:
            is_object = found[OPENING] == "{"
            if below.accepts or not below.leads_into(is_object=is_object):
                return self.value(found.start(OPENING), below, (*path, name))
            return (self._members if is_object else self._elements)(found.end(), below, (*path, name))
        if below.accepts:
            start, end = found.span(STRING)
            text = self._text[start:end]
            value = Sensitive(text if self._is_ascii else _from_utf8(text))
            add_place(self.places, Place(below.accepts, (*path, name), start - 1, end + 1, value, encode))
        return found.end()

    def _odd_member(self, at: int, state: State, path: Path, names: set[str], *, is_first: bool) -> int:
        """Take a member that no step can. Return where it ends or, if the object closes here, that as ~end."""
        at = self._next_item(at, "}", is_first=is_first)
        if at < 0:
            return at
        name, value_at = self._name(at)
        below = state.names.get(name, state.other_name)
        if below is None:
            return self._skip(value_at)
        if name in names:
            raise DuplicateKey(offset=at)
        names.add(name)
        return self.value(value_at, below, (*path, name))

    def _elements(self, at: int, state: State, path: Path) -> int:
        """Take the elements of an array whose content starts at `at`. Return where it ends."""
        next_state, other, index = state.indexes.get, state.other_index, 0
        while (at := self._next_item(at, "]", is_first=index == 0)) >= 0:
            self._items += 1
            if self._items > MAX_ITEMS:
                raise TooManyFields(limit=MAX_ITEMS)
            below = next_state(index, other)
            at = self._skip(at) if below is None else self.value(at, below, (*path, index))
            index += 1
        return ~at

    def _next_item(self, at: int, closing: str, *, is_first: bool) -> int:
        """Return where the next item starts or, if what is around it closes here, where that ends, as ~end."""
        comma = _comma(self._text, at)
        if comma and not is_first:
            return comma.end()
        at = self.after_space(at)
        if self._text[at : at + 1] == closing:
            return ~(at + 1)
        if comma or not is_first or at == len(self._text):
            raise BodyUnreadable(offset=at)
        return at

    def _name(self, at: int) -> tuple[str, int]:
        """Return the member name at `at`, unescaped, and where its value starts."""
        plain = _plain_name(self._text, at)
        if plain:
            name = plain[1]
            return name if name.isascii() else _from_utf8(name), plain.end()
        if self._text[at : at + 1] != '"':
            raise BodyUnreadable(offset=at)
        name, end = self._string(at)
        colon = _colon(self._text, end)
        if colon is None:
            raise BodyUnreadable(offset=self.after_space(end))
        return name, colon.end()

    def _string(self, at: int) -> tuple[str, int]:
        """Return the string whose opening quote is at `at`, unescaped, and where it ends."""
        end = self._skip(at)
        text = self._text[at + 1 : end - 1]
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
        if _whole_number(number := self._text[at:end]):
            add_place(self.places, Place(state.accepts, path, at, end, Sensitive(number), encode_number))
            return end
        refusal = NumberNotWhole if first in _NUMBER else ValueNotText
        raise refusal(selector=state.selector, offset=at)

    def _skip(self, at: int) -> int:
        """Return where the value at `at` ends. It is checked, and nothing in it is looked for."""
        try:
            return _check(self._text, at)[1]
        except StopIteration as stop:
            offset = int(stop.value)
        except JSONDecodeError as error:
            offset = error.pos
        except _ConstantError:
            rest = without_escaped_quotes(self._text[at:].encode("latin-1"))
            offset = at + next((found.start(1) for found in _constants(rest) if found[1]), 0)
        raise BodyUnreadable(offset=offset)


def _from_utf8(text: str) -> str:
    return text.encode("latin-1").decode()
