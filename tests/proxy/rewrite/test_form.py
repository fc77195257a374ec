import random
import time
from contextlib import suppress
from urllib.parse import unquote_to_bytes

import pytest

from proxy.rewrite.errors import (
    BodyAmbiguous,
    BodyRejected,
    BodyTooComplex,
    BodyUnreadable,
    DuplicateKey,
    TooManyFields,
    TooManyValues,
    ValueNotText,
)  # fmt: skip
from proxy.rewrite.fields import Field
from proxy.rewrite.form_keys import decode_anyhow
from proxy.rewrite.media import BodyType
from proxy.rewrite.plan import Plan
from proxy.rewrite.selectors import Selector
from tests.harness.bodies import fill, find_in
from vault.exposure import expose


def plan(body: bytes | str, *selectors: str) -> Plan:
    fields = [Field(Selector.parse(selector), "pan") for selector in selectors or ("$.card.number",)]
    return find_in(body.encode() if isinstance(body, str) else body, BodyType.FORM, fields)


def values(body: bytes | str, *selectors: str) -> list[str]:
    return [expose(match.value) for match in plan(body, *selectors).matches]


def test_only_the_selected_bytes_change():
    body = "&a=%zz&b=\xff;&&card%5bnumber]=4242+42%34&c=%7e&d".encode("latin-1")
    found = plan(body)
    assert (found.matches[0].start, found.matches[0].end) == (body.index(b"4242"), body.index(b"&c="))
    assert [expose(match.value) for match in found.matches] == ["4242 424"]
    assert fill(found, ["t k"]) == body.replace(b"4242+42%34", b"t+k")


@pytest.mark.parametrize(
    "key",
    ["card[number]", "card%5Bnumber%5D", "card%5bnumber]", "card[number%5D", "c%61rd[n%75mber]", "%63ard%5bnumber%5d"],
)
def test_keys_are_decoded_first(key):
    assert values(f"{key}=x") == ["x"]


@pytest.mark.parametrize(
    ("selector", "body", "expected"),
    [
        ("$.number", "number=1&numbers=2&card[number]=3", ["1"]),
        ("$['card number']", "card+number=1", ["1"]),
        ("$['card number']", "card%20number=1", ["1"]),
        ("$.a['b c']", "a[b+c]=1", ["1"]),
        ("$.a['b+c']", "a[b%2Bc]=1", ["1"]),
        ("$.é", "%C3%A9=1", ["1"]),
        ("$.é", "é=1", ["1"]),
        ("$['']", "=1", ["1"]),
        ("$['a.b']", "a.b=1", ["1"]),
        ("$.a[0]", "a[0]=1&a[1]=2", ["1"]),
        ("$.a['0']", "a[0]=1&a[1]=2", ["1"]),
        ("$.a['00']", "a[00]=1&a[0]=2", ["1"]),
        ("$.a[1]", "a[]=1&a[]=2&a[]=3", ["2"]),
        ("$.a[*]", "a[]=1&a%5B%5D=2", ["1", "2"]),
        ("$.a[*].b", "a[0][b]=1&a[1][b]=2&a[1][c]=3", ["1", "2"]),
        ("$.a[*].b", "a[][b]=1&a[][c]=3&a[][b]=2", ["1", "2"]),
        ("$..b", "a[][b]=1&b=2&c[d][b]=3&b2=4", ["1", "2", "3"]),
        ("$.*", "a=1&b=2", ["1", "2"]),
        ("$[0]", "0=1", []),
        ("$.a.b", "a[b]=%F0%9F%98%80+%2B%26", ["😀 +&"]),
        ("$.a.b", "a[b]=x=y", ["x=y"]),
        ("$.a.b", "a[b]=", [""]),
        ("$.a.b", "", []),
        ("$.a.b", "&&", []),
        ("$.a.b", "a=1", []),
        ("$.a.b", "A[B]=1", []),
    ],
)
def test_selectors(selector, body, expected):
    assert values(body, selector) == expected


def test_appended_elements_are_grouped_by_repetition():
    body = "c[][n]=1&c[][v]=2&c[][n]=3&c[][v]=4&c[]=5&c[][n]=6"
    paths = [match.path for match in plan(body, "$.c[*].n", "$.c[*].v").matches]
    assert paths == [("c", 0, "n"), ("c", 0, "v"), ("c", 1, "n"), ("c", 1, "v"), ("c", 3, "n")]


@pytest.mark.parametrize("text", ["tok", "a b", "a&b=c;d%+[]", "é😀", "", "*-._~", "\x00\n"])
def test_what_is_filled_in_is_read_back(text):
    assert values(fill(plan("card[number]=x&a=1"), [text])) == [text]


@pytest.mark.parametrize(
    "body",
    [
        "card[number]=1&card[number]=2", "card[number]=1&card%5Bnumber%5D=1", "card[number]=&card[number]=1",
        "card=1&card=2",
    ],
)  # fmt: skip
def test_a_repeated_key_is_refused(body):
    with pytest.raises(DuplicateKey):
        plan(body)


def test_repeated_keys_elsewhere_pass():
    assert values("a=1&a=2&card[x]=1&card[x]=2&card[number]=3&b[]=1&b[]=1&b[c]=1") == ["3"]


@pytest.mark.parametrize("body", ["card=x&card[number]=1", "card[number]=1&card=x"])
def test_text_where_an_object_is_needed_is_refused(body):
    with pytest.raises(BodyAmbiguous):
        plan(body)


@pytest.mark.parametrize("body", ["card[number][a]=1", "card[number][]=1", "card[number]", "a=1&card[number]&b"])
def test_what_is_not_text_is_refused(body):
    with pytest.raises(ValueNotText):
        plan(body)


@pytest.mark.parametrize(
    ("body", "selector"),
    [
        ("card[number=1", "$.card.number"),  # Rack
        ("card]number]=1", "$.card.number"),  # Rack
        ("card[number]x=1", "$.card.number"),  # PHP, qs
        ("card[number]+=1", "$.card.number"),  # PHP, qs
        ("card[number][x=1", "$.card.number"),  # PHP
        ("card[x]number=1", "$.card.x.number"),  # Rack
        ("x=1&[card][number]=1", "$.card.number"),  # Rack, qs
        ("card.number=1", "$.card.number"),  # ASP.NET, Spring
        ("cards[0].number=1", "$.cards[*].number"),
        ("card.number=1", "$.card_number"),  # PHP
        ("card+number=1", "$.card_number"),  # PHP
        ("card[number=1", "$.card_number"),  # PHP
        ("card.x[number]=1", "$.card_x.number"),  # PHP
        ("+card[number]=1", "$.card.number"),  # PHP
        ("card[number]%00x=1", "$.card.number"),  # C strings
        ("card%00[x]=1", "$.card"),
        ("a[[]b=1", "$.a.b"),
        ("a.b[][c=1", "$['a.b'][*].c"),  # Rack: the dot is a part of the name
        ("cards[][number=1", "$.cards[*].number"),
        ("x=1;card[number]=1", "$.card.number"),  # `;` separates, to old parsers
        ("x;y;card%5Bnumber%5D=1", "$.card.number"),
        ("card[number]=1;x=2", "$.card.number"),
        ("a=b[number]=1", "$..number"),  # qs splits at `]=`
        ("card[number]=1&card.number=2", "$.card.number"),
        ("a[0][b]=1&a[][b]=2", "$.a[*].b"),
        ("a[][b]=1&a[0][b]=2", "$.a[*].b"),
        ("a[][b]=1", "$.a[0].b"),  # PHP starts an element with every key
        ("a[][b]=1", "$.a['1'].b"),
    ],
)
def test_what_another_parser_would_select_is_refused(body, selector):
    with pytest.raises(BodyAmbiguous):
        plan(body, selector)


@pytest.mark.parametrize(
    "body",
    ["a[b=1", "a]b=2", "a[b]c=3", "card.name=x", "a&[=1", "]=1", "a&[]=1", "a&[[[]]]=1", "x=a;b=c;card=1",
     "x=a[b]=1", "a.b[c=1", "card[name=x", "x=1;", ";=;", "card=x;y"],
)  # fmt: skip
def test_odd_keys_that_nobody_selects_pass(body):
    assert fill(plan(body), []) == body.encode()


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        (b"a=1&b%zz=1", 5), (b"a%=1", 1), (b"a%4=1", 1), (b"%u0041=1", 0), (b"ab%ff=1", 0), (b"ab\xff=1", 0),
        (b"card[number]=4%2", 14), (b"card[number]=%ff", 13), (b"card[number]=\xc3", 13), (b"%ED%A0%80=1", 0),
    ],
)  # fmt: skip
def test_bad_encoding_is_refused_in_keys_and_selected_values(body, offset):
    with pytest.raises(BodyUnreadable) as caught:
        plan(body)
    assert caught.value.ids == {"offset": offset}


@pytest.mark.parametrize(
    "body",
    ['{"card":{"number":"4242424242424242"}}', ' \r\n{"a":1}', "[1]", "\ufeff{}", '&{"a":1}', "+{}=",
     "%7B%22card%22:1}", "%5B{}]", "%20%7b=1", "{", "[=1", '\x00{"a":1}', '{"a":"x=y&z"}'],
)  # fmt: skip
def test_json_in_place_of_a_form_is_refused(body):
    with pytest.raises(BodyUnreadable) as caught:
        plan(body)
    assert caught.value.ids == {"offset": 0}


def test_there_is_a_limit_of_values():
    body = "&".join(f"c[{number}][n]=x" for number in range(100))
    assert len(plan(body, "$.c[*].n").matches) == 100
    with pytest.raises(TooManyValues) as caught:
        plan(body + "&c[100][n]=x" * 1000, "$.c[*].n")
    assert caught.value.ids == {"limit": 100}


@pytest.mark.parametrize(
    "body",
    ["a&" * 10_001, "a=" + ";b" * 10_001, "a&" * 5001 + "a;" * 5001, "&".join(f"{n}" + "[c]" * 100 for n in range(101)),
     "&".join(f"{n}" + "[]" * 100 + "[" for n in range(101))],
    ids=["pairs", "pieces", "both", "levels", "levels of odd keys"],
)  # fmt: skip
def test_there_is_a_limit_of_fields(body):
    with pytest.raises(TooManyFields) as caught:
        plan(body, "$..zzz")
    assert caught.value.ids == {"limit": 10_000}


def test_what_is_below_the_limit_of_fields_passes():
    assert values("a&" * 9999 + "card[number]=1") == ["1"]
    assert values("&".join(["b" + "[c]" * 100] * 200) + "&card[number]=1") == ["1"]  # no selector enters them


def test_percent_encoding_is_undone_as_urllib_does():
    source = random.Random(7)  # noqa: S311
    for _ in range(20_000):
        raw = bytes(source.choices(b"%%%%0123AFaf=+_\r\n \tx\0\xff.", k=source.randint(0, 14)))
        assert decode_anyhow(raw) == unquote_to_bytes(raw.replace(b"+", b" ")).decode(errors="replace")


def test_depth():
    assert values("a" + "[b]" * 127 + "=1", "$..zzz") == []
    for selector in ("$.zzz", "$..zzz"):
        for body in ("a" + "[b]" * 129 + "=1", "a" + "%5B" * 129 + "=1", "a" + "[" * 1_000_000):
            with pytest.raises(BodyTooComplex):
                plan(body, selector)


def test_no_error_keeps_the_body():
    for body in ("card[number]=%ff4242", "k4242%ff=1", "card[number]=4242%", "card=4242&card[number]=1"):
        with pytest.raises(BodyRejected) as caught:
            plan(body)
        assert caught.value.__context__ is None
        assert "4242" not in f"{caught.value!r}{caught.value}"


@pytest.mark.parametrize(
    "body",
    [
        "a" * 1_000_000, "a=&" * 300_000, "%5B" * 128 + "%20" * 300_000, "a" + "%5B%20" * 100 + "&" * 500_000,
        "&".join(f"k{number}[]=" for number in range(100_000)), "b[][c]=&" * 100_000, "b[]=&" * 100_000,
        "x=" + ";" * 300_000, "x=" + ";card[" * 50_000, "." * 500_000 + "=1", "x=" + "]=" * 300_000,
        "&".join(f"b[c]{number}.[=" for number in range(50_000)), "&".join(["b" + "[c]" * 127] * 2000),
    ],
    ids=str.__len__,
)  # fmt: skip
@pytest.mark.parametrize("selector", ["$.b.x", "$..zzz"])
def test_time_is_linear(body, selector):
    started = time.process_time()
    with suppress(BodyRejected):
        plan(body, selector)
    assert time.process_time() - started < 1


HOSTILE = {
    "pieces": ("a=", ";b"), "pairs": ("", "a&"), "odd pairs": ("", "%61=;]=&"), "closed by ]=": ("", "a[b=b]=c&"),
    "spaces": ("", "+a=&"), "NUL": ("", "%00a=&"), "one key": ("", "%61"), "appended": ("", "b" + "[]" * 100 + "=&"),
    "odd and appended": ("", "b" + "[]" * 100 + "[=&"), "numbered": ("", "b" + "[0]" * 100 + ".=&"),
    "pieces with levels": ("", "a=;" + "[]" * 100 + "=&"), "one value": ("b[x]=", "%61"), "dots": ("", "."),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("selector", ["$.b.x", "$..zzz", "$.b[*].x"])
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
