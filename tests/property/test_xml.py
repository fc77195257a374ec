"""Promises of the XML scanner, against xml.etree as reference."""

import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from proxy.rewrite import xml
from proxy.rewrite.errors import BodyRejected, DuplicateKey, ValueNotText
from proxy.rewrite.places import Place
from proxy.rewrite.selectors import Automaton, Selector
from vault.exposure import expose

quick = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
SELECTED = {
    "$.card.number": lambda names, _: names == ["card", "number"],
    "$..number": lambda names, _: names[-1] == "number",
    "$.*.number": lambda names, _: len(names) == 2 and names[1] == "number",
    "$.a.card[0].number": lambda names, at: names == ["a", "card", "number"] and at[1] == 0,
    "$.a.card[*].number": lambda names, _: (
        names[:2] == ["a", "card"] and names[-1] == "number" and len(names) in (3, 4)  # the `*` may be a name
    ),
    "$..card['@number']": lambda names, _: names[-2:] == ["card", "@number"],
}
selectors = st.sampled_from(sorted(SELECTED))
texts = st.text("<>&]\"' \r\n\té😀42x-", max_size=6)
tokens = st.one_of(st.just("tok_01h455vb4pex5vsknk084sn02q"), texts.map(lambda text: f"t{text}t"))
leaf_names = st.sampled_from(["number", "p:number", "card", "q", "r", "s"])
inner_names = st.sampled_from(["card", "card", "p:card", "a", "number"])
between = st.sampled_from(["", " ", "\n\t", "<!-- 42 -->", "<?p 42?>"])


@st.composite
def written(draw, text):
    """Content that means `text`, but for its line ends."""
    ways = [
        escape(text).replace("\r", "&#13;"), "".join(f"&#x{ord(character):X};" for character in text), escape(text),
        "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>",
    ]  # fmt: skip
    return draw(st.sampled_from(ways))


pieces = st.text("<>&]\"' \r\n\té😀42x-", min_size=1, max_size=6).flatmap(written)
contents = st.one_of(
    pieces, st.tuples(between, pieces, between).map("".join), st.lists(pieces, max_size=3).map("".join)
)


@st.composite
def elements(draw, names, content):
    name = draw(names)
    attributes = draw(st.dictionaries(st.sampled_from(["number", "p:number", "type"]), texts, max_size=2))
    start = name + "".join(
        f"{draw(st.sampled_from([' ', chr(10)]))}{key}={quoteattr(attributes[key])}" for key in attributes
    )
    inner = draw(content)
    return f"<{start}/>" if not inner else f"<{start}>{inner}</{name}{draw(st.sampled_from(['', ' ']))}>"


def several(below):
    return st.lists(st.one_of(below, below, between), min_size=1, max_size=3).map("".join)


small = elements(leaf_names, contents)
cards = elements(st.sampled_from(["card", "p:card"]), several(small))
trees = st.one_of(
    cards,
    elements(st.sampled_from(["number", "card"]), contents),
    elements(st.just("a"), several(cards)),
    elements(inner_names, several(st.one_of(small, cards, elements(inner_names, several(cards))))),
)


@st.composite
def documents(draw):
    """A document whose root binds the prefix."""
    root = draw(trees)
    end = min(at for at in map(root.find, " \n>/") if at > 0)
    declaration = draw(st.sampled_from(["", '<?xml version="1.0" encoding="utf-8"?>\n']))
    return f"{declaration}{root[:end]} xmlns:p='u'{root[end:]}".encode()


def scan(body: bytes, selector: str) -> list[Place]:
    return xml.scan(body, Automaton((Selector.parse(selector),)).start())


def fill(body: bytes, places: list[Place], new: list[str]) -> bytes:
    for place, text in reversed(list(zip(places, new, strict=True))):
        body = body[: place.start] + place.encode(text) + body[place.end :]
    return body


def leaves(element: ET.Element, names: list[str], at: list[int]):
    """Every element's and attribute's names and indexes, with its text, or None if it holds elements."""
    yield names, at, None if len(element) else "".join(element.itertext())
    for name, value in element.attrib.items():
        yield [*names, "@" + local(name)], [*at, 0], value
    counts: dict[str, int] = {}
    for child in element:
        name = local(child.tag)
        yield from leaves(child, [*names, name], [*at, counts.get(name, 0)])
        counts[name] = counts.get(name, 0) + 1


def local(tag: str) -> str:
    return tag.rpartition("}")[2]


def reference(body: bytes):
    root = ET.fromstring(body)  # noqa: S314
    return list(leaves(root, [local(root.tag)], [0]))


def selected(body: bytes, selector: str):
    """What is selected, in body order: attributes stand before what is in their element."""
    return [text for names, at, text in reference(body) if SELECTED[selector](names, at)]


def blank(text: str) -> bool:
    return not text.strip(" \t\r\n")


@quick
@given(documents(), selectors, st.data())
def test_xml_bodies(body, selector, data):
    expected = selected(body, selector)
    try:
        places = scan(body, selector)
    except BodyRejected as refusal:
        event(type(refusal).__name__)
        check_refusal(body, refusal, expected)
        return
    assert None not in expected
    values = [expose(place.value) for place in places]
    stripped = [value.strip(" \t\r\n") for value in values]
    assert [value for value in stripped if value] == [text.strip(" \t\r\n") for text in expected if not blank(text)]
    event(f"{len(places)} places")
    new = data.draw(st.lists(tokens, min_size=len(places), max_size=len(places)))
    filled = fill(body, places, new)
    check_rest(body, filled, selector, stripped, new)
    again = scan(filled, selector)
    assert [expose(place.value) for place in again] == new
    back = fill(filled, again, values)
    assert reference(back) == reference(body)
    if all(body[place.start : place.end] == plain(expose(place.value)) for place in places) and all(map(is_plain, new)):
        assert back == body


def check_rest(body: bytes, filled: bytes, selector: str, old: list[str], new: list[str]) -> None:
    """A receiver sees the replacements, and everything else as it was."""
    queue = iter([text for text, before in zip(new, old, strict=True) if before])
    for (names, at, before), (names_now, at_now, now) in zip(reference(body), reference(filled), strict=True):
        assert (names, at) == (names_now, at_now)
        if SELECTED[selector](names, at) and not blank(before):
            assert now.strip(" \t\r\n") == next(queue)
        elif not (SELECTED[selector](names, at) and before):
            assert now == before


def check_refusal(body: bytes, refusal: BodyRejected, expected: list) -> None:
    """A valid document is refused only for a repeated name, or for a selected element that holds others."""
    assert isinstance(refusal, DuplicateKey | ValueNotText)
    if isinstance(refusal, ValueNotText):
        assert None in expected
        return
    tree = [list(zip(names, at, strict=True)) for names, at, _ in reference(body)]
    attributes = [path for path in tree if path[-1][0].startswith("@")]
    assert any(path[-1][1] for path in tree) or any(attributes.count(path) > 1 for path in attributes)


def plain(text: str) -> bytes:
    return escape(text).encode()


def is_plain(text: str) -> bool:
    """Whether text is written as it is, also in a CDATA section."""
    return plain(text) == text.encode() and "\r" not in text


fragments = st.lists(
    st.one_of(
        st.sampled_from(
            [b"<card>", b"</card>", b"<number>", b"</number>", b"<number/>", b"42", b"<![CDATA[", b"]]>", b"<!--",
             b"-->", b"&amp;", b"&#52;", b"&", b"<card number='", b"'", b'"', b"/>", b">", b"<", b"<?", b"?>",
             b"<!DOCTYPE a>", b"<?xml version='1.0'?>", b" ", b"\xef\xbb\xbf", b"p:", b"xmlns:p='u'"]
        ),
        st.binary(max_size=3),
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@st.composite
def mutated(draw):
    body = bytearray(draw(documents()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(fragments)
    return bytes(body)


@settings(quick, max_examples=800)
@given(st.one_of(fragments, mutated(), st.binary()), selectors)
def test_any_bytes_give_places_or_a_refusal(body, selector):
    try:
        places = scan(body, selector)
    except BodyRejected as error:
        refusal = error
    else:
        assert b":" in body or ET.fromstring(body) is not None  # noqa: S314  # it takes bound prefixes alone
        assert len(scan(fill(body, places, ["tok"] * len(places)), selector)) == len(places)
        return
    assert refusal.__context__ is None
    assert refusal.__cause__ is None
