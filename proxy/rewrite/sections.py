"""Sections: the parts of a message in which values are looked for, each with the places that were found.

A section is the body, the query string, or one header. Bodies are scanned as UTF-8, without byte order marks at either
end, which stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import partial

from proxy.errors import CharsetUnsupported
from proxy.rewrite import charsets, form, json, multipart, xml, xml_prolog
from proxy.rewrite.errors import BodyRejected, HeaderRepeated, QueryRejected, ValueNotText
from proxy.rewrite.fields import Field, Fields, FieldsOfPart, Selecting
from proxy.rewrite.media import BodyType, Media
from proxy.rewrite.message import Message
from proxy.rewrite.places import Place
from proxy.rewrite.selectors import State, Where
from vault.frozen import frozen
from vault.sensitive import Sensitive

Scanner = Callable[[bytes, State], list[Place]]

# A new type of body is a module with such a function, and a line here.
_SCANNERS: Mapping[BodyType, Scanner] = {
    BodyType.JSON: json.scan,
    BodyType.FORM: form.scan,
    BodyType.XML: xml.scan,
}


# Their values are numbers of the protocol, and nobody's words.
_PROTOCOL = frozenset(
    {"age", "content-length", "date", "etag", "expires", "if-match", "if-modified-since", "if-none-match"}
    | {"if-unmodified-since", "last-modified", "retry-after", "traceparent"}
)


@frozen(eq=False)
class Section:
    """`data` is what was scanned; `header` is the index of the header that it is the value of."""

    where: Where
    data: bytes = field(repr=False)
    places: Sequence[tuple[Selecting, Place]] = ()
    charset: str = charsets.UTF8
    header: int = 0


def sections(message: Message, fields: Fields) -> tuple[Section, ...]:
    """Return the sections of a message in which fields can be; each place comes with the fields that select it.

    Raises BodyRejected, CharsetUnsupported or SelectorsConflict."""
    found = []
    if message.media is not None:
        found.append(_body(message.body, message.media, fields))
    if fields.query and message.query:
        found.append(_query(message.query, fields))
    if fields.headers:
        found += _headers(message, fields)
    return tuple(found)


def unscanned(message: Message, found: Sequence[Section]) -> Iterator[Section]:
    """Yield the other sections of a message: those in which no field can be."""
    scanned = {each.where for each in found}
    if Where.BODY not in scanned and message.body:
        yield Section(Where.BODY, message.body)
    for where, text in ((Where.PATH, message.path), (Where.QUERY, message.query)):
        if text and where not in scanned:
            yield Section(where, text.encode("utf-8", "surrogateescape"))
    for index, value in _other_headers(message, found):
        yield Section(Where.HEADER, value.encode("utf-8", "surrogateescape"), header=index)


def unscanned_data(message: Message, found: Sequence[Section]) -> list[bytes]:
    """Return the data of those sections, headers in one piece with line breaks between them."""
    scanned = [each.where for each in found]
    if Where.HEADER in scanned:
        texts = [value for _, value in _other_headers(message, found)]
    else:
        texts = [value for name, value in message.headers if name.lower() not in _PROTOCOL]
    if message.path and Where.PATH not in scanned:
        texts.append(message.path)
    if message.query and Where.QUERY not in scanned:
        texts.append(message.query)
    data = "\n".join(texts).encode("utf-8", "surrogateescape")
    return [data] if Where.BODY in scanned else [message.body, data]


def _other_headers(message: Message, found: Sequence[Section]) -> list[tuple[int, str]]:
    """Return index and value of the headers in which no field can be."""
    selected = [each.header for each in found if each.where is Where.HEADER]
    return [
        (index, header[1])
        for index, header in enumerate(message.headers)
        if header[0].lower() not in _PROTOCOL and index not in selected
    ]


def _body(body: bytes, media: Media, fields: Fields) -> Section:
    charset = _charset(body, media)
    data = body if charset == charsets.UTF8 else charsets.to_utf8(body, charset)
    places = _scan(data, _scanner(media), fields.of_body.automaton.start())
    return Section(Where.BODY, data, _with_fields(places, fields.of_body), charset)


def _charset(body: bytes, media: Media) -> str:
    """Return the codec of a body; raises CharsetUnsupported, also where it is given in two ways."""
    if media.charset is None and media.type is not BodyType.XML:
        return charsets.UTF8
    charset = charsets.codec(media.charset, body)
    if media.type is BodyType.XML and (declared := xml_prolog.declared_encoding(body)) is not None:
        written = charsets.codec(declared, body)
        if media.charset is not None and written != charset:
            raise CharsetUnsupported
        return written
    if charset != charsets.UTF8 and media.type not in (BodyType.JSON, BodyType.XML):
        raise CharsetUnsupported  # percent-encoding and parts have charsets of their own
    return charset


def _scanner(media: Media) -> Scanner:
    if media.type is BodyType.MULTIPART:
        return partial(multipart.scan, boundary=media.boundary, scanners=_SCANNERS)
    if media.type is None:
        raise ValueError("a body of no known type cannot be scanned")
    return _SCANNERS[media.type]


def _scan(data: bytes, scanner: Scanner, start: State) -> list[Place]:
    if data.isascii():
        return scanner(data, start)
    first = len(charsets.BOM) if data.startswith(charsets.BOM) else 0
    last = len(data) - (len(charsets.BOM) if data.endswith(charsets.BOM) and len(data) > first else 0)
    places = scanner(data[first:last] if first or last < len(data) else data, start)
    return [place._replace(start=place.start + first, end=place.end + first) for place in places] if first else places


def _with_fields(places: Sequence[Place], fields: FieldsOfPart) -> list[tuple[Selecting, Place]]:
    return [(fields.selecting(place.selectors), place) for place in places]


def _query(query: str, fields: Fields) -> Section:
    data = query.encode("utf-8", "surrogateescape")
    try:
        places = form.scan(data, fields.of_query.automaton.start())
    except BodyRejected as error:
        offset = int(error.ids.get("offset", 0))
    else:
        return Section(Where.QUERY, data, _with_fields(places, fields.of_query))
    raise QueryRejected(offset=offset)


def _headers(message: Message, fields: Fields) -> Iterator[Section]:
    seen = set()
    for index, (name, value) in enumerate(message.headers):
        wanted = fields.headers.get(name.lower())
        if wanted is None:
            continue
        if wanted in seen:
            raise HeaderRepeated(name=str(wanted.at))
        seen.add(wanted)
        if value.strip():
            yield Section(Where.HEADER, *_header(value, wanted), header=index)


def _header(value: str, wanted: Field) -> tuple[bytes, list[tuple[Selecting, Place]]]:
    data = value.encode("utf-8", "surrogateescape")
    start = len(data) - len(data.lstrip(b" \t"))
    end = len(data.rstrip(b" \t"))

    def encode(text: str) -> bytes:
        if not (text.isascii() and text.isprintable()):
            raise ValueNotText(selector=str(wanted.at), offset=start)
        return text.encode()

    text = Sensitive(data[start:end].decode("utf-8", "replace"))
    return data, [(Selecting([wanted]), Place((0,), (str(wanted.at),), start, end, text, encode))]
