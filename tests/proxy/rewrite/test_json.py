import time
from contextlib import suppress

import pytest

from proxy.rewrite import json as rewrite_json
from proxy.rewrite.errors import (
    BodyRejected,
    BodyTooComplex,
    BodyUnreadable,
    DuplicateKey,
    NumberNotWhole,
    TooManyFields,
    TooManyValues,
    ValueNotText,
)  # fmt: skip
from proxy.rewrite.fields import Field
from proxy.rewrite.media import BodyType
from proxy.rewrite.plan import Plan
from proxy.rewrite.selectors import Selector
from tests.harness.bodies import fill, find_in
from vault.exposure import expose


def plan(body: bytes | str, *selectors: str) -> Plan:
    fields = [Field(Selector.parse(selector), "pan") for selector in selectors or ("$.card.number",)]
    return find_in(body.encode() if isinstance(body, str) else body, BodyType.JSON, fields)


def values(body: bytes | str, *selectors: str) -> list[str]:
    return [expose(match.value) for match in plan(body, *selectors).matches]


def test_only_the_selected_bytes_change():
    body = ' {"id" : 12345678901234567890123,\t"amount":1.10,"e":1e2,"x":"\\u0041\\/","card":{"number" : "4242"}}\r\n'
    found = plan(body)
    assert (found.matches[0].start, found.matches[0].end) == (body.index('"4242"'), body.index('"4242"') + 6)
    assert found.matches[0].path == ("card", "number")
    assert fill(found, ["tok"]) == body.replace('"4242"', '"tok"').encode()


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("$.a[0].n", ["1"]),
        ("$.a[*].n", ["1", "2"]),
        ("$..n", ["1", "2", "3", "4"]),
        ("$.b['n','m']", ["3", "5"]),
        ("$.b.*", ["3", "5"]),
        ("$.a[5].n", []),
        ("$.a.n", []),
        ("$.b[0]", []),
    ],
)
def test_selectors(selector, expected):
    body = '{"a":[{"n":"1"},{"n":"2"},[]],"b":{"n":"3","m":"5"},"c":{"d":[[{"n":"4"}]]}}'
    assert sorted(values(body, selector)) == expected


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r'"\u0034242"', "4242"),
        (r'"a\"\\\/\b\f\n\r\t"', 'a"\\/\b\f\n\r\t'),
        (r'"\ud83d\ude00"', "😀"),
        ('"４２４２ é 😀"', "４２４２ é 😀"),
        (r'"é\u00e9"', "éé"),
        ('"\x7f"', "\x7f"),
        ('""', ""),
    ],
)
def test_values_are_unescaped(written, meant):
    assert values(f'{{"card":{{"number":{written}}}}}') == [meant]


def test_names_are_compared_unescaped():
    assert values(r'{"c\u0061rd":{"numbe\u0072":"1"}}') == ["1"]
    assert values('{"é":{"日":"1"},"ü":2}', "$.é.日") == ["1"]
    assert values(r'{"x":0,"c\u0061rd" : {"y":0,"n\u0075mber" : "1"}}') == ["1"]


@pytest.mark.parametrize("text", ["tok", 'a"\\\b\n\x01', "é😀\u2028", "", "</script>"])
def test_what_is_filled_in_is_read_back(text):
    body = fill(plan('{"card":{"number":"x"}}'), [text])
    assert values(body) == [text]


def test_a_byte_order_mark_stays():
    body = b'\xef\xbb\xbf {"card":{"number":"x"}}'
    assert fill(plan(body), ["y"]) == b'\xef\xbb\xbf {"card":{"number":"y"}}'


def test_null_is_left():
    assert values('{"card":{"number":null}}') == []
    assert values('{"card":null}') == []


@pytest.mark.parametrize("written", ["0", "4242", "4242424242424242", "9" * 19])
def test_a_whole_number_is_a_value_and_stays_one_where_it_can(written):
    body = f'{{"card":{{"number": {written} }}}}'
    found = plan(body)
    assert values(body) == [written]
    assert fill(found, ["tok"]) == body.replace(written, '"tok"').encode()
    assert fill(found, ["9000000000000001"]) == body.replace(written, "9000000000000001").encode()
    assert fill(found, ["0123"]) == body.replace(written, '"0123"').encode()
    assert fill(found, [found.matches[0].value]) == body.encode()


@pytest.mark.parametrize("written", ["-1", "1e5", "1.0", "4242424242424242.0", "9" * 20, "-0"])
def test_another_number_is_refused(written):
    with pytest.raises(NumberNotWhole) as caught:
        plan(f'{{"card":{{"number": {written}}}}}')
    assert caught.value.ids == {"selector": "$.card.number", "offset": 19}


@pytest.mark.parametrize("written", ["true", "false", "{}", "[]", '["4242"]', '{"number":"4242"}'])
def test_what_is_not_text_is_refused(written):
    with pytest.raises(ValueNotText) as caught:
        plan(f'{{"card":{{"number":{written}}}}}')
    assert caught.value.code == "value_not_text"


DUPLICATES = [
    '{"card":{"number":"1","number":"2"}}',
    '{"card":{"number":"1","x":0,"numbe\\u0072":"2"}}',
    '{"card":{"number":"1","number":null}}',
    '{"card":{"number":"1"},"card":{}}',
    '{"card":{"number":"1"},"card":7}',
    '{"card":null,"\\u0063ard":{"number":"1"}}',
]


@pytest.mark.parametrize("body", DUPLICATES)
def test_duplicates_on_a_selected_path_are_refused(body):
    with pytest.raises(DuplicateKey):
        plan(body)


def test_duplicates_elsewhere_pass():
    body = '{"a":1,"a":2,"b":{"c":1,"c":"2"},"card":{"x":1,"x":{},"number":"1"}}'
    assert values(body) == ["1"]
    with pytest.raises(DuplicateKey):
        plan(body, "$..number")


INVALID = [
    "", " ", "\n", "{", "[", "}", "]", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', "[1,]", "[,1]", "[1 2]", "{,}",
    '{"a" 1}', '{"a":1 "b":2}', '{"a":}', "{'a':1}", "{a:1}", '{"a":1}}', "[]]", "[] []", "{}x", "nul", "truex", "[01]",
    "[1.]", "[.5]", "[+1]", "[-]", "[1e]", "[0x1]", "[NaN]", "[Infinity]", "[-Infinity]", '["\t"]', '["\n"]',
    '["\x00"]', '["\\x41"]', '["\\u12g4"]', '["\\u123"]', '["\\"]', '["', '["\\', '{"\t":1}', '{"\\q":1}', "[1}",
    '{"a":1]', "/**/[]", "[1,\u00a02]", "\ufeff\ufeff[]", "\x0b[]", "[1\x0c]",
]  # fmt: skip
FRAMES = ["{}", '{{"x":{}}}', '{{"card":{}}}', '{{"card":{{"number":{}}}}}', '{{"card":{{"a":0,"b":{}}}}}']


@pytest.mark.parametrize("selector", ["$.card.number", "$.zzz", "$..zzz", "$.card[*].zzz", "$[0].zzz"])
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("part", INVALID)
def test_invalid_anywhere_is_refused(part, frame, selector):
    with pytest.raises((BodyUnreadable, ValueNotText)):  # a wrong value can be met before the invalid byte
        plan(frame.format(part), selector)


@pytest.mark.parametrize("tail", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"])
def test_invalid_utf8_is_refused(tail):
    with pytest.raises(BodyUnreadable) as caught:
        plan(b'{"a":"' + tail + b'"}')
    assert caught.value.ids == {"offset": 6}


def test_a_lone_surrogate_is_refused_where_it_is_selected():
    with pytest.raises(BodyUnreadable):
        plan(r'{"card":{"number":"\ud83d"}}')
    with pytest.raises(ValueNotText):
        fill(plan('{"card":{"number":"x"}}'), ["\udc00"])
    assert values(r'{"x":"\ud83d","\udc00":1,"card":{"number":"1"}}') == ["1"]


@pytest.mark.parametrize(
    ("body", "offset"),
    [("", 0), ("[1,]", 3), ('{"a":tru}', 5), ('{"card":{"x":NaN}}', 13), ('{"x":["NaN",NaN]}', 12), ("{}x", 2)],
)
def test_errors_say_where(body, offset):
    with pytest.raises(BodyUnreadable) as caught:
        plan(body)
    assert caught.value.ids == {"offset": offset}


@pytest.mark.parametrize("selector", ["$.zzz", "$..zzz", "$[0]..zzz"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_depth(opening, closing, selector):
    levels = 128 // (opening.count("[") + opening.count("{"))
    assert values(opening * levels + "1" + closing * levels, selector) == []
    for body in (opening * (levels + 1) + "1" + closing * (levels + 1), opening * 100_000, "[" * 5_000_000):
        with pytest.raises(BodyTooComplex):
            plan(body, selector)


def test_brackets_in_strings_are_not_levels():
    assert values('["' + "[{" * 500 + '\\"[",[]]', "$.zzz") == []


def test_no_error_keeps_the_body():
    for part in [*INVALID, '["4242"]', "4242.5", '"\\ud800"']:
        with pytest.raises(BodyRejected) as caught:
            plan(f'{{"card":{{"number":{part},"secret":1}}}}')
        assert caught.value.__context__ is None
        assert "secret" not in repr(caught.value)
        assert "4242" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        '["' + '\\"' * 500_000, '"' * 1_000_000, "[" + '"\\' * 300_000, '{"a":"' + "\\\\" * 500_000 + '"}',
        " " * 1_000_000, "{" + " " * 1_000_000 + "}", "[1" + " " * 500_000 + "x", "[" + "1," * 500_000 + "1]",
        "[" + "9" * 1_000_000 + "]", "[1." + "9" * 1_000_000 + "e99999]", "{" + '"a":1,' * 200_000 + '"b":1}',
        "[" * 100 + "[]," * 200_000, "[" * 100 + '{"a":"b"},' * 100_000,
    ],
    ids=str.__len__,
)  # fmt: skip
@pytest.mark.parametrize("selector", ["$.b", "$..c"])
def test_time_is_linear(body, selector):
    started = time.process_time()
    with suppress(BodyRejected):
        plan(body, selector)
    assert time.process_time() - started < 2


HOSTILE = {
    "objects": ("[", "{},"), "arrays": ("[", "[],"), "escaped names": ("{", '"\\u0061":1,'), "numbers": ("[", "1,"),
    "values": ("[", '{"number":null},'), "deep arrays": ("[", "[" * 100 + "]" * 100 + ","),
    "deep objects": ("[", '{"a":' * 100 + "1" + "}" * 100 + ","), "members": ("{", '"a":{},'),
    "escapes": ('["', '\\"'), "escapes at depth": ("[" * 100 + "[]," * 200 + '"', '\\"'),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("selector", ["$.card.number", "$..number", "$.*.number"])
def test_a_megabyte_takes_less_than_a_second_and_growth_is_linear(name, selector):
    start, piece = HOSTILE[name]

    def seconds(size: int) -> float:
        body = start + piece * (size // len(piece))
        begin = time.process_time()
        with suppress(BodyRejected):
            plan(body, selector)
        return time.process_time() - begin

    large = seconds(1_000_000)
    assert large < 1
    assert large < 10 * max(seconds(250_000), 0.01)


def test_there_is_a_limit_of_values():
    assert len(plan("[" + ",".join(['{"number":"1"}'] * 100) + "]", "$..number").matches) == 100
    with pytest.raises(TooManyValues) as caught:
        plan("[" + '{"number":"1"},' * 101 + "not even JSON", "$..number")
    assert caught.value.ids == {"limit": 100}


@pytest.mark.parametrize(
    ("body", "selector"),
    [
        ("[" + "{}," * 50_000 + "{}]", "$..number"),
        ("[" + "1," * 50_000 + "1]", "$..number"),
        ("{" + '"\\u0061":1,' * 50_000 + '"b":1}', "$.card.number"),
    ],
    ids=["containers", "elements", "escaped names"],
)
def test_there_is_a_limit_of_items_to_look_at(body, selector):
    with pytest.raises(TooManyFields) as caught:
        plan(body, selector)
    assert caught.value.ids == {"limit": 50_000}


def test_there_is_a_limit_of_containers():
    with pytest.raises(TooManyFields) as caught:
        plan("[" + "[]," * 250_000 + "[]]")
    assert caught.value.ids == {"limit": 250_000}


def test_what_no_selector_enters_is_not_counted():
    body = '{"a":[' + "1," * 100_000 + '1],"b":{' + '"x":[],' * 100_000 + '"y":1},"card":{"number":"1"}}'
    assert values(body) == ["1"]
    assert values("[" + "1," * 100_000 + "1]") == []


def test_encode_escapes_only_what_must_be():
    assert rewrite_json.encode('é/"\\\x7f') == '"é/\\"\\\\\x7f"'.encode()
