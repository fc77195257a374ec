"""Multipart bodies (multipart/form-data, RFC 7578): where the selected values stand.

Rules:
1. `multipart_parts` says where parts are, `multipart_names` what they are called. A name is read as a form's key:
   `card[number]` is `$.card.number`.
2. A part in JSON, XML or as a form is read as that, below its name, where a selector leads into it. Any other is
   one text: its content, if it is selected; else it is not looked at.
3. What is looked at must be UTF-8, not encoded in any other way, and without a length of its own.
4. Where another reading of a name would select something that the plain one does not, the body is refused.
5. Nothing is written that holds the boundary.
6. Work is linear in the body; parts are limited (MAX_PARTS), and so are those that are read by their own type
   (MAX_DOCUMENTS). No error and no error's context holds a piece of the body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from proxy.rewrite import media, multipart_parts
from proxy.rewrite.errors import BodyAmbiguous, BodyRejected, BodyUnreadable, TooManyFields, ValueNotText
from proxy.rewrite.form_tree import KeyTree
from proxy.rewrite.media import BodyType, Media
from proxy.rewrite.multipart_names import Name, name_of
from proxy.rewrite.multipart_parts import Part
from proxy.rewrite.places import Path, Place, add_place
from proxy.rewrite.selectors import State
from proxy.rewrite.xml_prolog import declared_encoding
from vault.sensitive import Sensitive

Scanners = Mapping[BodyType, Callable[[bytes, State], list[Place]]]
"""What reads parts by their own type."""

MAX_DOCUMENTS = 10
"""Parts that are read by their own type: each may cost as much as a body of that type."""

_simple = re.compile(r"[A-Za-z0-9_-]++(?:\[[A-Za-z0-9_-]*+\])*").fullmatch
_append_key = re.compile(r"\[\s*\]").search
_UTF8 = frozenset({None, "utf-8", "utf8", "us-ascii"})
_AS_IT_IS = frozenset({"7bit", "8bit", "binary"})
_nested = re.compile(r"[ \t]*(?:multipart|message)/", re.IGNORECASE).match


def scan(body: bytes, start: State, boundary: bytes, scanners: Scanners) -> list[Place]:
    """Return the selected values of a multipart body, in body order. Offsets are bytes.

    Raises any BodyRejected.
    """
    named = []
    for part in multipart_parts.split(body, boundary):
        disposition = part.fields.get("content-disposition")
        if disposition is None:
            raise BodyUnreadable(offset=part.offset)
        named.append((part, name_of(disposition, part.offset)))
    tree = KeyTree(start, appends=any(_append_key(name.text) for _, name in named))
    walk = _Walk(body, b"--" + boundary, tree, scanners)
    for part, name in named:
        walk.add(part, name)
    return walk.places


class _Walk:
    """A walk over the parts of one body."""

    def __init__(self, body: bytes, delimiter: bytes, tree: KeyTree, scanners: Scanners) -> None:
        self.body = body
        self.delimiter = delimiter
        self.tree = tree
        self.scanners = scanners
        self.places: list[Place] = []
        self.documents = 0

    def add(self, part: Part, name: Name) -> None:
        """Take one part."""
        self._check_charset(part, name)
        content_type = part.fields.get("content-type", "text/plain")
        how = media.parse(content_type)
        scanner = self.scanners.get(how.type) if how and how.type else None
        state, path = self.tree.enter(name.text, part.offset, simple=_simple(name.text) is not None)
        self._check_readings(part, name, state, typed=scanner is not None or how is None)
        if state is None:
            return
        if how is None or (not state.accepts and _nested(content_type)):
            raise BodyAmbiguous(offset=part.offset)
        if scanner is not None:
            self._check_plain(part, how)
            self._document(part, how, state, path, scanner)
        elif state.accepts:
            self._check_plain(part, how)
            self._text(part, state, path)

    def _check_charset(self, part: Part, name: Name) -> None:
        if name.text == "_charset_":  # HTML's way of naming the charset of all parts
            value = self.body[part.start : part.end].strip().lower().decode("latin-1")
            if value and value not in _UTF8:
                raise BodyAmbiguous(offset=part.start)

    def _check_readings(self, part: Part, name: Name, state: State | None, *, typed: bool) -> None:
        """Refuse a name whose other readings select what is not selected, or lead into the part in another way."""
        if state is not None and state.accepts:
            return
        own = {name.text} if typed and not _simple(name.text) else set()
        for reading in name.others | own:
            for reached in self.tree.reached(reading):
                if reached.accepts or (typed and reached is not state):
                    raise BodyAmbiguous(offset=part.offset)

    def _check_plain(self, part: Part, how: Media) -> None:
        """Refuse a part whose content does not stand there as it is."""
        if part.fields.get("content-transfer-encoding", "binary").lower() not in _AS_IT_IS:
            raise BodyUnreadable(offset=part.offset)
        if part.fields.keys() & {"content-length", "content-encoding"}:
            raise BodyAmbiguous(offset=part.offset)
        if how.charset is not None and how.charset.lower() not in _UTF8:
            raise BodyUnreadable(offset=part.offset)

    def _text(self, part: Part, state: State, path: Path) -> None:
        offset = None
        try:
            text = self.body[part.start : part.end].decode()
        except UnicodeDecodeError as error:
            offset = part.start + error.start
        if offset is not None:
            raise BodyUnreadable(offset=offset)
        self._place(Place(state.accepts, path, part.start, part.end, Sensitive(text), str.encode), state)

    def _document(
        self, part: Part, how: Media, state: State, path: Path, scanner: Callable[[bytes, State], list[Place]]
    ) -> None:
        content = self.body[part.start : part.end]
        self.documents += 1
        if self.documents > MAX_DOCUMENTS:
            raise TooManyFields(limit=MAX_DOCUMENTS)
        if how.type is BodyType.XML and declared_encoding(content) not in _UTF8:
            raise BodyUnreadable(offset=part.start)
        if state.accepts and how.type is not BodyType.JSON:
            raise ValueNotText(selector=state.selector, offset=part.start)
        for place in _shifted_errors(scanner, content, state, part.start):
            start, end = place.start + part.start, place.end + part.start
            self._place(place._replace(path=path + place.path, start=start, end=end), state)

    def _place(self, place: Place, state: State) -> None:
        add_place(self.places, place._replace(encode=self._encoder(place, state.text_of(place.selectors[0]))))

    def _encoder(self, place: Place, selector: str) -> Callable[[str], bytes]:
        """How text is written there: not if the boundary would stand in it, or where it meets what is around."""
        before = self.body[max(place.start - len(self.delimiter), 0) : place.start]
        after = self.body[place.end : place.end + len(self.delimiter)]

        def encode(text: str) -> bytes:
            try:
                new = place.encode(text)
            except (ValueNotText, UnicodeEncodeError):
                new = self.delimiter
            if self.delimiter in before + new + after:
                raise ValueNotText(selector=selector, offset=place.start)
            return new

        return encode


def _shifted_errors(
    scanner: Callable[[bytes, State], list[Place]], content: bytes, state: State, offset: int
) -> list[Place]:
    """Scan; an error's offset is made one of the whole body."""
    try:
        return scanner(content, state)
    except BodyRejected as error:
        refusal, ids = type(error), dict(error.ids)
    if isinstance(ids.get("offset"), int):
        ids["offset"] = int(ids["offset"]) + offset
    raise refusal(**ids)
