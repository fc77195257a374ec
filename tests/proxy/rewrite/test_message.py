"""Values outside the body, bodies in other charsets, and plans over a whole message."""

from __future__ import annotations

import codecs
import json
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import CharsetUnsupported
from proxy.rewrite.errors import BodyUnreadable, HeaderRepeated, QueryRejected, SelectorsConflict, ValueNotText
from proxy.rewrite.fields import KEPT, Field, Fields
from proxy.rewrite.media import BodyType, Media
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Plan, find
from proxy.rewrite.selectors import Selector
from vault.exposure import expose

JSON, XML = BodyType.JSON, BodyType.XML


def field(at: str, kind: str = "pan", of: str | None = None) -> Field:
    return Field(Selector.parse(at), kind, Selector.parse(of) if of else None)


def values(plan: Plan) -> list[str]:
    return [expose(match.value) for match in plan.matches]


NUMBER = Fields([field("$.card.number")])
BODIES = {
    JSON: '{"é": "€", "card": {"number": "%s"}, "ü": 1.10}',
    XML: "<a:card xmlns:a='é'><!-- ü --><a:number>%s</a:number>&#233;</a:card>",
}
ENCODINGS = ["iso-8859-15", "windows-1252", "utf-16-le", "utf-16-be"]


@pytest.mark.parametrize("body_type", [JSON, XML])
@pytest.mark.parametrize("charset", ["iso-8859-15", "windows-1252", "utf-16le", "UTF-16BE", "Utf-8"])
def test_a_body_in_another_charset_stays_in_it(body_type, charset):
    text = BODIES[body_type]
    fields = Fields([field("$.card.number")])
    body = (text % "4242").encode(charset)
    plan = find(Message(body, Media(body_type, charset)), fields)
    assert values(plan) == ["4242"]
    filled = plan.fill(["tök€n"])
    assert filled.body.decode(charset) == text % "tök€n"
    assert find(filled, fields).fill(["4242"]).body == body


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_utf_16_is_told_by_its_byte_order_mark(mark):
    name = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    body = mark + (BODIES[JSON] % "4242").encode(name)
    plan = find(Message(body, Media(JSON, "utf-16")), NUMBER)
    assert plan.fill(["x"]).body == mark + (BODIES[JSON] % "x").encode(name)
    with pytest.raises(CharsetUnsupported):
        find(Message(body[2:], Media(JSON, "utf-16")), NUMBER)


def test_a_value_that_the_charset_does_not_have_is_refused():
    plan = find(Message(b'{"card":{"number":"1"}}', Media(JSON, "iso-8859-1")), NUMBER)
    with pytest.raises(ValueNotText):
        plan.fill(["€"])


@pytest.mark.parametrize("charset", ["utf-7", "utf-32", "cp037", "iso-2022-jp", "x", "", "utf-8-sig", "idna", "rot13"])
def test_other_charsets_are_refused(charset):
    with pytest.raises(CharsetUnsupported):
        find(Message(b'{"card":{"number":"1"}}', Media(JSON, charset)), NUMBER)


@pytest.mark.parametrize("body_type", [BodyType.FORM, BodyType.MULTIPART])
def test_forms_are_utf_8(body_type):
    with pytest.raises(CharsetUnsupported):
        find(Message(b"a=1", Media(body_type, "iso-8859-1", b"b")), NUMBER)


def test_bytes_that_are_not_of_the_charset_are_refused():
    for body, charset in (
        (b"\xff", "utf-8"),
        (b"\x81", "windows-1252"),
        (b"{}\0", "utf-16le"),
        (b"\0\xd8", "utf-16le"),
    ):
        with pytest.raises(BodyUnreadable):
            find(Message(body, Media(JSON, charset)), NUMBER)


def test_the_declaration_of_xml_counts_and_must_not_differ():
    document = '<?xml version="1.0" encoding="ISO-8859-1"?><card><number>é</number></card>'
    for charset in (None, "iso-8859-1", "latin1"):
        plan = find(Message(document.encode("latin-1"), Media(XML, charset)), NUMBER)
        assert values(plan) == ["é"]
        assert plan.fill(["ü"]).body == document.replace("é", "ü").encode("latin-1")
    for charset in ("utf-8", "windows-1252"):
        with pytest.raises(CharsetUnsupported):
            find(Message(document.encode("latin-1"), Media(XML, charset)), NUMBER)
    with pytest.raises(CharsetUnsupported):
        find(Message(document.replace("8859-1", "2022-JP").encode(), Media(XML)), NUMBER)


BOM = "\ufeff".encode()


@pytest.mark.parametrize(
    ("body_type", "body"),
    [(JSON, b'{"card":{"number":"4"}}'), (BodyType.FORM, b"card[number]=4"), (XML, b"<card><number>4</number></card>")],
)
@pytest.mark.parametrize(("before", "after"), [(BOM, b""), (b"", BOM), (BOM, BOM)])
def test_a_byte_order_mark_on_either_side_stays_where_it_is(body_type, body, before, after):
    plan = find(Message(before + body + after, Media(body_type)), NUMBER)
    assert values(plan) == ["4"]
    assert plan.fill(["tok"]).body == before + body.replace(b"4", b"tok") + after


def test_a_query_is_read_as_a_form_is():
    fields = Fields([field("query:card[number]"), field("query:cvc", "cvc", "query:card[number]")])
    query = "a=1&card%5Bnumber%5D=4242+4242&cvc=%31&b=%20"
    plan = find(Message(query=query), fields)
    assert values(plan) == ["4242 4242", "1"]
    assert [match.of for match in plan.matches] == [None, 0]
    assert plan.fill(["t&k", "c"]).query == "a=1&card%5Bnumber%5D=t%26k&cvc=c&b=%20"


@pytest.mark.parametrize("query", ["pan=1&pan=2", "pan=1;x=2", "pan=%ff", "pan=%zz", "pan", "pan[x]=1"])
def test_a_query_that_can_be_read_in_two_ways_is_refused(query):
    with pytest.raises(QueryRejected) as caught:
        find(Message(query=query), Fields([field("query:pan")]))
    assert caught.value.__context__ is None


def test_a_header_is_one_value_without_the_space_around_it():
    fields = Fields([field("header:X-Pan")])
    message = Message(headers=(("A", "1"), ("x-pan", " 4242 \t"), ("B", "2")))
    plan = find(message, fields)
    assert values(plan) == ["4242"]
    assert plan.fill(["tok_1"]).headers == (("A", "1"), ("x-pan", " tok_1 \t"), ("B", "2"))
    assert find(Message(headers=(("X-Pan", "  "),)), fields).matches == ()


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "é", "\0", "\x7f"])
def test_nothing_gets_out_of_a_header(value):
    plan = find(Message(headers=(("X-Pan", "1"),)), Fields([field("header:X-Pan")]))
    with pytest.raises(ValueNotText):
        plan.fill([value])


def test_a_header_that_stands_twice_is_refused():
    with pytest.raises(HeaderRepeated):
        find(Message(headers=(("X-Pan", "1"), ("x-PAN", "2"))), Fields([field("header:X-Pan")]))


def test_two_kinds_for_one_header_are_the_configurations_fault():
    with pytest.raises(SelectorsConflict):
        Fields([field("header:X-A", "pan"), field("header:x-a", "iban")])


def test_one_plan_fills_all_parts_and_leaves_what_is_kept():
    fields = Fields([field("$.number"), field("query:q"), field("header:H"), field("$.order", KEPT)])
    message = Message(
        b'{"order":"7","number":"1"}', Media(JSON), "/p", "q=2&r=3", (("H", "4"), ("Date", "5"), ("I", "6"))
    )
    plan = find(message, fields)
    assert values(plan) == ["1", "2", "4"]
    filled = plan.fill(["a", "b", "c"])
    assert (filled.body, filled.query) == (b'{"order":"7","number":"a"}', "q=b&r=3")
    assert filled.headers == (("H", "c"), ("Date", "5"), ("I", "6"))
    assert filled.path == "/p"
    rest = b"|".join(map(bytes, plan.everything_else()))
    assert rest == b'{"order":|,"number":|}|q=|&r=3|||6\n/p'


def test_a_plan_can_be_cut_and_its_owners_follow():
    fields = Fields([field("$..number"), field("$..cvc", "cvc", "$..number")])
    body = b'[{"number":"1","cvc":"2"},{"number":"3","cvc":"4"}]'
    plan = find(Message(body, Media(JSON)), fields)
    later = plan.only(lambda match: expose(match.value) in "34")
    assert [match.of for match in later.matches] == [None, 0]
    assert later.fill(["x", "y"]).body == body.replace(b'"3"', b'"x"').replace(b'"4"', b'"y"')
    alone = plan.only(lambda match: match.field.kind == "cvc")
    assert [match.of for match in alone.matches] == [None, None]


text = st.text(max_size=12).filter(lambda value: not any(0xD800 <= ord(char) < 0xE000 for char in value))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(text, text), max_size=5), text, text)
def test_whatever_characters_a_value_has_it_is_read_again(pairs, value, other):
    """Escaping is right for the place: query, form and JSON."""
    pairs = [
        (name, each) for name, each in pairs if name.partition("[")[0].strip(" \0\t\r\n\ufeff[]._") not in ("pan", "")
    ]
    query = urlencode([*pairs, ("pan", value)])
    try:
        plan = find(Message(query=query), Fields([field("query:pan")]))
    except QueryRejected:
        return
    filled = plan.fill([other])
    assert parse_qsl(filled.query, keep_blank_values=True) == [*pairs, ("pan", other)]
    back = find(filled, Fields([field("query:pan")])).fill([value]).query
    assert parse_qsl(back, keep_blank_values=True) == [*pairs, ("pan", value)]
    body = json.dumps({"a": value, "card": {"number": value}}).encode()
    filled = find(Message(body, Media(JSON)), NUMBER).fill([other])
    assert json.loads(filled.body) == {"a": value, "card": {"number": other}}


@settings(max_examples=200, deadline=None)
@given(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), min_size=1
    )
)
def test_xml_values_are_read_again(value):
    plan = find(Message(b"<card><number>4</number></card>", Media(XML)), NUMBER)
    filled = plan.fill([value])
    assert (ElementTree.fromstring(filled.body)[0].text or "") == value  # noqa: S314  # our own
