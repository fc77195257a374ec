"""Form bodies (application/x-www-form-urlencoded): where the selected values stand.

Rules:
1. Pairs are split as the WHATWG URL standard does (section 5.1): at `&` alone, then at the first `=`. Keys
   are percent-decoded before their brackets are read, so `card%5Bnumber%5D` is `card[number]`.
2. Brackets in keys are nesting, as `form_tree` says; it refuses what receivers read differently.
3. A selected pair is a place: the bytes after `=`.
4. `;` between pairs separates, to some, and `]=` ends a key: where that would select something, the body is
   refused.
5. A body that begins as JSON is refused: some receivers read it as that, whatever its content type.
6. All keys and all selected values must be percent-encoded UTF-8. Other values are not looked at.
7. Work is linear in the body; pairs, and levels that selectors enter, are limited (MAX_FIELDS). No error and
   no error's context holds a piece of the body.
"""

from __future__ import annotations

import re
from urllib.parse import quote_plus

from proxy.rewrite import form_keys as keys
from proxy.rewrite.errors import BodyAmbiguous, BodyUnreadable, TooManyFields, ValueNotText
from proxy.rewrite.form_steps import SIMPLE, over_pairs, selected_keys
from proxy.rewrite.form_tree import MAX_FIELDS, KeyTree
from proxy.rewrite.places import Path, Place, add_place
from proxy.rewrite.selectors import State
from vault.sensitive import Sensitive

_pairs = re.compile(rb"[^&]+").finditer
_simple = re.compile(rb"[A-Za-z0-9_-]++(?:\[[A-Za-z0-9_-]*+\])*").fullmatch
_begins_simply = re.compile(SIMPLE.encode()).match
_SEMICOLON = ord(";")
_append_key = re.compile(rb"(?:\[|%5[Bb])(?:\s|\+|%20|%0[9AaDd])*(?:\]|%5[Dd])").search
_JSON_SPACE = " \t\r\n\0\ufeff"


def encode(text: str) -> bytes:
    """Return `text` percent-encoded as UTF-8, a space as `+` (WHATWG URL section 5.2; `~` stays, RFC 3986)."""
    return quote_plus(text, safe="*").encode()


def scan(body: bytes, start: State) -> list[Place]:
    """Return the selected values of a form, in body order. Offsets are bytes; spans start after the `=`.

    Raises BodyUnreadable, BodyTooComplex, TooManyFields, TooManyValues, BodyAmbiguous, DuplicateKey, ValueNotText.
    """
    if body.count(b"&") + body.count(b";") > MAX_FIELDS:  # `;` separates, to some
        raise TooManyFields(limit=MAX_FIELDS)
    if not _begins_simply(body):
        _refuse_json(body)
    form = _Form(start, body)
    over = over_pairs(start)
    at, length = 0, len(body)
    while at < length:
        if over is not None:
            at = over(body, at).end()
        end = body.find(b"&", at)
        if end < 0:
            end = length
        if end > at:
            form.add(body[at:end], at)
        at = end + 1
    return form.places


def _refuse_json(body: bytes) -> None:
    """Refuse JSON under a form's content type, also where an application would read it from the first key."""
    first = next(_pairs(body), None)
    key = keys.decode_anyhow(first[0].partition(b"=")[0]).lstrip(_JSON_SPACE) if first else ""
    if key.startswith(("{", "[")):
        raise BodyUnreadable(offset=0)


class _Form:
    """The selected values of one form."""

    __slots__ = ("_selected", "_semicolons", "_tree", "places")

    def __init__(self, start: State, body: bytes) -> None:
        appends = _append_key(body) is not None
        self._tree = KeyTree(start, appends=appends)
        self._semicolons = _SEMICOLON in body
        self._selected = {} if appends else selected_keys(start)
        self.places: list[Place] = []

    def add(self, pair: bytes, offset: int) -> None:
        """Take one pair that starts at `offset`."""
        raw_key, equals, raw_value = pair.partition(b"=")
        selected = self._selected.get(raw_key)
        if selected is not None:
            state, path = selected
            self._tree.take(path, offset)
            self._select(state, path, offset + len(raw_key), equals + raw_value)
            return
        simple = _simple(raw_key) is not None
        key = raw_key.decode() if simple else keys.decode(raw_key, offset)
        reached, path = self._tree.enter(key, offset, simple=simple)
        if reached is not None and reached.accepts:
            self._select(reached, path, offset + len(raw_key), equals + raw_value)
        elif self._semicolons or b"]=" in raw_value:
            self._refuse_hidden(pair, raw_key, raw_value, offset)

    def _select(self, state: State, path: Path, offset: int, assigned: bytes) -> None:
        if not assigned:  # without `=` there is nothing to fill; receivers read it as null or as empty text
            raise ValueNotText(selector=state.selector, offset=offset)
        if _SEMICOLON in assigned:  # a separator to some: they would see less of the value
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
            if self._tree.any_selects(keys.decode_anyhow(raw)):
                raise BodyAmbiguous(offset=offset)
