"""XML bodies (XML 1.0): where the selected values stand.

Rules:
1. The whole body must be well-formed, as expat reads it. What a declaration says of the encoding is ignored:
   the bytes are UTF-8. A DOCTYPE is refused, and so is XML 1.1.
2. Names are local names, the root's is the first. `@name` is an attribute; no wildcard takes one. An element is
   its parent's member and, as receivers make lists of repeated ones, an element of a list, too: path and State
   know both.
3. A second sibling of a name is refused where a selector names it without an index, a wildcard or `..` behind:
   receivers disagree about which of two counts.
4. A selected element's text is a place, a selected attribute's value, too. An empty one holds nothing to
   protect and stays. An element that holds others is refused; if only a wildcard over its list selects it, that
   means those others, and it is refused if it holds text besides.
5. Work is linear in the body; what is looked at is limited (MAX_ITEMS), and so are all elements
   (MAX_ELEMENTS). No error and no error's context holds a piece of the body.
"""

from __future__ import annotations

import re
from functools import partial
from xml.parsers import expat

from proxy.rewrite import xml_text as text
from proxy.rewrite.errors import (
    BodyTooComplex,
    BodyUnreadable,
    DtdRefused,
    DuplicateKey,
    TooManyFields,
    ValueNotText,
)
from proxy.rewrite.places import MAX_DEPTH, Path, Place, add_place
from proxy.rewrite.selectors import State
from proxy.rewrite.xml_prolog import refuse_dtd
from vault.sensitive import Sensitive

MAX_ITEMS = 50_000
"""Elements and attributes that are looked at one by one."""
MAX_ELEMENTS = 250_000
"""All elements, also those that no selector can enter."""

_attribute = re.compile(rb"""[ \t\r\n]++[^ \t\r\n=]++[ \t\r\n]*+=[ \t\r\n]*+(["'])""").match


def scan(body: bytes, start: State) -> list[Place]:
    """Return the selected values of an XML document, in body order. Offsets are bytes.

    Raises BodyUnreadable, BodyTooComplex, DtdRefused, TooManyFields, TooManyValues, DuplicateKey, ValueNotText.
    """
    if b"\0" in body:  # UTF-16: expat would read it, whatever it is told
        raise BodyUnreadable(offset=body.index(b"\0"))
    refuse_dtd(body)  # before expat sees it: it could not be stopped in one
    walk = _Walk(body, start)
    try:
        walk.parser.Parse(body, True)
    except expat.ExpatError:
        offset = max(walk.parser.ErrorByteIndex, 0)
    else:
        return walk.places
    finally:
        walk.end()
    raise BodyUnreadable(offset=offset)


class _Frame:
    """An element that is walked because it, or something in it, can be selected."""

    __slots__ = ("content", "counts", "must_be_text", "no_text", "offset", "path", "state")

    def __init__(self, state: State, path: Path, offset: int) -> None:
        self.state = state
        self.path = path
        self.offset = offset
        self.counts: dict[str, int] = {}  # of children that selectors can enter, and of selected attributes
        self.content: int | None = None  # where the content starts, of a selected one
        self.must_be_text = False
        self.no_text = False  # a wildcard selected it, but it holds elements


class _Walk:
    """A walk over one body. `frames` are the open elements that are looked at, below one for the document."""

    def __init__(self, body: bytes, start: State) -> None:
        self.body = body
        self.places: list[Place] = []
        self.frames = [_Frame(start, (), 0)]
        self.skipped = 0  # open elements that are not looked at
        self.items = self.elements = 0
        self.parser = expat.ParserCreate("UTF-8")
        self.parser.ordered_attributes = self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def end(self) -> None:
        """Let go of the parser, whose handlers hold this walk and with it the body."""
        del self.parser

    def _declaration(self, version: str, _encoding: str | None, _standalone: int) -> None:
        if version != "1.0":
            raise BodyUnreadable(offset=0)

    def _doctype(self, *_: object) -> None:
        raise DtdRefused(offset=self.parser.CurrentByteIndex)

    def _start(self, name: str, attributes: list[str]) -> None:
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            raise TooManyFields(limit=MAX_ELEMENTS)
        if len(self.frames) + self.skipped > MAX_DEPTH:
            raise BodyTooComplex(limit=MAX_DEPTH)
        frame = None if self.skipped else self._enter(name)
        if frame is None:
            self.skipped += 1
            return
        self.frames.append(frame)
        at = frame.offset + 1 + len(name.encode())
        if attributes and (frame.state.accepts or _names_attributes(frame.state)):
            at = self._attributes(frame, attributes, at)
        if frame.state.accepts:
            frame.content = self.body.index(b">", at) + 1

    def _end(self, _name: str) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        frame = self.frames.pop()
        if frame.content is None:
            return
        span = text.content(self.body, frame.content, self.parser.CurrentByteIndex)
        if span is not None:
            self._add(frame.state, frame.path, span)

    def _enter(self, name: str) -> _Frame | None:
        """Return the frame of the element that starts here; None if nothing there or below can match."""
        self._count(1)
        parent = self.frames[-1]
        offset = self.parser.CurrentByteIndex
        if parent.must_be_text:
            raise ValueNotText(selector=parent.state.selector, offset=parent.offset)
        if parent.content is not None:
            self._holds_elements(parent, offset)
        local = _local(name, offset)
        named = parent.state.by_name(local)
        if named is None:
            return None
        index = parent.counts.get(local, 0)
        if index and not parent.state.may_repeat(local):
            raise DuplicateKey(offset=offset)
        parent.counts[local] = index + 1
        frame = _Frame(named.or_element(index), (*parent.path, local, index), offset)
        frame.must_be_text = bool(named.accepts) or (index in named.indexes and bool(frame.state.accepts))
        return frame

    def _holds_elements(self, frame: _Frame, offset: int) -> None:
        if text.content(self.body, frame.content or 0, offset) is not None:
            raise ValueNotText(selector=frame.state.selector, offset=frame.offset)
        frame.content, frame.no_text = None, True
        self.parser.CharacterDataHandler = self._text

    def _text(self, data: str) -> None:
        frame = self.frames[-1]
        if frame.no_text and not self.skipped and data.strip(" \t\r\n"):
            raise ValueNotText(selector=frame.state.selector, offset=frame.offset)

    def _count(self, items: int) -> None:
        self.items += items
        if self.items > MAX_ITEMS:
            raise TooManyFields(limit=MAX_ITEMS)

    def _attributes(self, frame: _Frame, attributes: list[str], at: int) -> int:
        """Take the attributes that stand from `at` on; return where the last one ends."""
        self._count(len(attributes) // 2)
        for name, value in zip(attributes[::2], attributes[1::2], strict=True):
            written = _attribute(self.body, at)
            if written is None:  # expat saw it there
                raise BodyUnreadable(offset=at)
            start, end = written.end(), self.body.index(written[1], written.end())
            if name != "xmlns" and not name.startswith("xmlns:"):
                self._attribute(frame, f"@{_local(name, at)}", value, start, end)
            at = end + 1
        return at

    def _attribute(self, frame: _Frame, name: str, value: str, start: int, end: int) -> None:
        state = frame.state.names.get(name)
        if state is None or not state.accepts:
            return
        if name in frame.counts:  # under another prefix
            raise DuplicateKey(offset=start)
        frame.counts[name] = 1
        if value:
            quote = self.body[start - 1 : start].decode()
            span = text.Span(start, end, value, partial(text.in_attribute, quote))
            self._add(state, (*frame.path, name), span)

    def _add(self, state: State, path: Path, span: text.Span) -> None:
        start, end, value, write = span

        def encode(new: str) -> bytes:
            if text.unwritable(new):
                raise ValueNotText(selector=state.selector, offset=start)
            return write(new)

        add_place(self.places, Place(state.accepts, path, start, end, Sensitive(value), encode))


def _names_attributes(state: State) -> bool:
    return any(name.startswith("@") for name in state.open().names)


def _local(name: str, offset: int) -> str:
    """Return a name without its prefix; one that namespaces do not allow is refused (Namespaces in XML, section 3)."""
    prefix, colon, local = name.partition(":")
    if not colon:
        return name
    if not prefix or not local or ":" in local:
        raise BodyUnreadable(offset=offset)
    return local
