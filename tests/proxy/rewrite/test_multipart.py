from email import message_from_bytes
from email.policy import HTTP

import pytest

from proxy.rewrite import form, json, multipart, xml
from proxy.rewrite.errors import (
    BodyAmbiguous,
    BodyRejected,
    BodyTooComplex,
    BodyUnreadable,
    DuplicateKey,
    NumberNotWhole,
    TooManyFields,
    TooManyValues,
    ValueNotText,
)
from proxy.rewrite.media import BodyType
from proxy.rewrite.places import Place
from proxy.rewrite.selectors import Automaton, Selector
from vault.exposure import expose

SCANNERS = {BodyType.JSON: json.scan, BodyType.FORM: form.scan, BodyType.XML: xml.scan}
NAMED = 'Content-Disposition: form-data; name="{}"'


def scan(body: bytes, *selectors: str, boundary: bytes = b"b") -> list[Place]:
    machine = Automaton(tuple(Selector.parse(each) for each in selectors or ("$.card.number",)))
    return multipart.scan(body, machine.start(), boundary, SCANNERS)


def values(body: bytes, *selectors: str) -> list[str]:
    return [expose(place.value) for place in scan(body, *selectors)]


def fill(body: bytes, texts: list[str], *selectors: str) -> bytes:
    for place, text in reversed(list(zip(scan(body, *selectors), texts, strict=True))):
        body = body[: place.start] + place.encode(text) + body[place.end :]
    return body


def raw(*parts: str | bytes) -> bytes:
    """A body of parts that are given with their header fields."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in encoded) + b"--b--\r\n"


def part(name: str, content: str = "4242", *fields: str) -> str:
    return "\r\n".join([NAMED.format(name), *fields, "", content])


def typed(name: str, content_type: str, content: str) -> str:
    return part(name, content, f"Content-Type: {content_type}")


def test_only_the_selected_bytes_change():
    image = (
        b'Content-Disposition: form-data; name="image"; filename="a b.png"\r\nContent-Type: image/png\r\n\r\n\xff\0\r\n'
    )
    body = raw(part("amount", "10"), part("card[number]", "4242 é"), image, part("card[cvc]", ""))
    places = scan(body, "$.card.number", "$.card.cvc")
    assert [(place.path, expose(place.value)) for place in places] == [
        (("card", "number"), "4242 é"),
        (("card", "cvc"), ""),
    ]
    assert fill(body, ["tok_1", "cvc_1"], "$.card.number", "$.card.cvc") == raw(
        part("amount", "10"), part("card[number]", "tok_1"), image, part("card[cvc]", "cvc_1")
    )


@pytest.mark.parametrize(
    ("selector", "names", "expected"),
    [
        ("$.number", ["number", "numbers"], ["0"]),
        ("$.card.number", ["x", "card[number]"], ["1"]),
        ("$.cards[*].n", ["cards[0][n]", "cards[1][n]"], ["0", "1"]),
        ("$.cards[*]", ["cards[]", "cards[]"], ["0", "1"]),
        ("$.cards[1]", ["cards[]", "cards[]"], ["1"]),
        ("$..n", ["a[][n]", "a[][n]", "n"], ["0", "1", "2"]),
        ("$['card number']", ["card number"], ["0"]),
        ("$.é", ["é"], ["0"]),
        ("$['a+b']", ["a+b"], ["0"]),
        ("$['a%22b']", ["a%22b"], ["0"]),
        ("$['']", [""], ["0"]),
        ("$.a", [], []),
    ],
)
def test_names(selector, names, expected):
    assert values(raw(*(part(name, str(at)) for at, name in enumerate(names))), selector) == expected


def test_parts_by_their_own_type():
    body = raw(
        typed("json", "application/json", ' {"card": {"number": "\\u0031"}, "n": [1]} '),
        typed("form", "application/x-www-form-urlencoded; charset=utf-8", "card[number]=%32&a=b"),
        typed("xml", "text/xml", '<?xml version="1.0"?>\r\n<card><number> 3 </number></card>'),
        typed("text", "text/plain", '{"card": {"number": "4"}}'),
        typed("ld", "application/ld+json;charset=UTF-8", '{"card": {"number": "5"}}'),
    )
    places = scan(body, "$..card.number")
    assert [(place.path, expose(place.value)) for place in places] == [
        (("json", "card", "number"), "1"), (("form", "card", "number"), "2"),
        (("xml", "card", 0, "number", 0), "3"), (("ld", "card", "number"), "5"),
    ]  # fmt: skip
    filled = fill(body, ['"a"', "&b", "<c>", "d"], "$..card.number")
    assert filled == body.replace(b'"\\u0031"', b'"\\"a\\""').replace(b"%32", b"%26b").replace(
        b" 3 ", b" &lt;c&gt; "
    ).replace(b'"5"', b'"d"')


def test_selectors_into_a_part_by_name():
    body = raw(typed("a", "application/json", '{"n":"1"}'), typed("b", "application/json", '{"n":'), part("n", "2"))
    assert values(body, "$.a.n", "$.n") == ["1", "2"]


def test_a_file_is_looked_at_where_a_selector_leads_into_its_type():
    """Browsers give every Blob a file name, also the ones that applications read as JSON."""
    blob = (
        'Content-Disposition: form-data; name="a"; filename="blob"\r\nContent-Type: application/json\r\n\r\n{"n":"1"}'
    )
    assert values(raw(blob), "$.a.n") == ["1"]
    assert values(raw(blob), "$.b.n") == []
    text = 'Content-Disposition: form-data; name="a"; filename="a.txt"\r\nContent-Type: image/png\r\n\r\n1'
    assert values(raw(text), "$.a") == ["1"]


def test_a_selected_string_of_json():
    body = raw(typed("number", "application/json", '"4242"'))
    assert fill(body, ["t"], "$.number") == raw(typed("number", "application/json", '"t"'))


@pytest.mark.parametrize(
    ("content_type", "content", "error"),
    [
        ("application/json", "4242.5", NumberNotWhole),
        ("application/json", '{"a":1}', ValueNotText),
        ("application/x-www-form-urlencoded", "4242=1", ValueNotText),
        ("application/xml", "<a/>", ValueNotText),
    ],
)
def test_a_selected_part_that_is_not_text_is_refused(content_type, content, error):
    with pytest.raises(error):
        values(raw(typed("number", content_type, content)), "$.number")


def test_errors_in_parts_have_offsets_in_the_body():
    body = raw(part("x"), typed("a", "application/json", '{"n":zz}'))
    with pytest.raises(BodyUnreadable) as caught:
        values(body, "$.a.n")
    assert caught.value.ids == {"offset": body.index(b"zz")}
    assert caught.value.__context__ is None
    body = raw(typed("a", "application/xml", "<c><n>1</n></c>"))
    with pytest.raises(ValueNotText) as refused:
        fill(body, ["\0"], "$.a.c.n")
    assert refused.value.ids["offset"] == body.index(b"1</n>")


@pytest.mark.parametrize(
    "body",
    [
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--',
        b'--b \t\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b-- \r\n\r\n ',
        b'\r\n--b\r\ncontent-disposition:FORM-DATA;NAME=a;\r\nX-Y: z\r\n\r\n1\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; filename*=utf-8\'\'x; name="a"; x=y\r\n\r\n1\r\n--b--\r\n',
    ],
)  # fmt: skip
def test_frames_that_all_read_alike(body):
    assert values(body, "$.a") == ["1"]


def test_a_body_without_parts():
    assert values(b"--b--\r\n") == []


ONE = b'Content-Disposition: form-data; name="a"\r\n\r\n1'
START = b"--b\r\n" + ONE


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", START, START + b"\r\n", START + b"\r\n--b\r\n", START + b"\r\n--b", START + b"\r\n--b-",
        START + b"--b--", START + b"\n--b--", START + b"\r--b--", START.replace(b"\r\n", b"\n") + b"\n--b--\n",
        b"x\r\n" + START + b"\r\n--b--", b"\n" + START + b"\r\n--b--", b" " + START + b"\r\n--b--",
        START + b"\r\n--b--x", START + b"\r\n--b--\r\nx", START + b"\r\n--b--\n", START + b"\r\n--b--\r\n--b\r\n",
        START + b"\r\n--bx\r\n--b--", START + b" --b \r\n--b--", START + b"\r\n--b x\r\n--b--",
        b"--b\n" + ONE + b"\r\n--b--",
        START + b"\r\n--b\r\n--b--", START + b"\r\n--b--\r\n" + START + b"\r\n--b--",
        START + b"\n--b\n" + ONE + b"\r\n--b--",
        b"--b\r\n\r\n1\r\n--b--", b"--b\r\n1\r\n--b--", b"--b\r\nContent-Disposition: form-data; name=a\r\n--b--",
    ],
)  # fmt: skip
def test_frames_that_receivers_read_differently_are_refused(body):
    for selector in ("$.zzz", "$.a"):
        with pytest.raises((BodyAmbiguous, BodyUnreadable)) as caught:
            values(body, selector)
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "fields",
    [
        "", "X: y", 'Content-Disposition: form-data', 'Content-Disposition: form-data; filename="a"',
        'Content-Disposition: attachment; name="a"', 'Content-Disposition: form-datax; name="a"',
        'Content-Disposition: name="a"',
        'Content-Disposition: form-data; name="a"; name="b"', 'Content-Disposition: form-data; name="a"; NAME=a',
        "Content-Disposition: form-data; name=\"a\"; name*=utf-8''number",
        "Content-Disposition: form-data; name*=utf-8''number",
        'Content-Disposition: form-data; name="a"; name*0="b"', 'Content-Disposition: form-data; name="a',
        'Content-Disposition: form-data; name="a"b', 'Content-Disposition: form-data; name = "a"',
        'Content-Disposition: form-data, name="a"', 'Content-Disposition: form-data; name="=?utf-8?q?number?="',
        'Content-Disposition: form-data;\r\n name="a"', 'Content-Disposition: form-data; name="a"\r\n\tx',
        'Content-Disposition : form-data; name="a"', ' Content-Disposition: form-data; name="a"',
        'Content-Disposition: form-data; name="a"\nX: y', 'Content-Disposition: form-data; name="a"\rX: y',
        'Content-Disposition: form-data; name="a"\0', 'Content-Disposition: form-data; name="a"\r\nX',
        'Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="a"',
        'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain\r\ncontent-type: application/json',
        'Content-Disposition: form-data; name="a"\r\nX: ' + "x" * 8192,
    ],
)  # fmt: skip
def test_header_fields_that_receivers_read_differently_are_refused(fields):
    with pytest.raises((BodyAmbiguous, BodyUnreadable)):
        values(raw(f"{fields}\r\n\r\n1"), "$.zzz")


def test_header_fields_that_are_not_utf_8_are_refused():
    with pytest.raises(BodyUnreadable):
        values(raw(b'Content-Disposition: form-data; name="\xe9"\r\n\r\n1'))


@pytest.mark.parametrize(
    ("disposition", "selector"),
    [
        ('name="x%22"; a=b', "$['x\"']"),
        ('name="%6eumber"', "$.number"),
        ('name="card%5Bnumber%5D"', "$.card.number"),
        ('name="num\\ber"', "$['num\\\\ber']"),
        ('name="number\\"x"', "$.number"),
        ('name="num\\"ber"', "$['num\\\\\"ber']"),
        ("name='number'", "$.number"),
        ('name=" number "', "$.number"),
        ('name="card.number"', "$.card.number"),
        ('name="card[number"', "$.card.number"),
        ('name="[card][number]"', "$.card.number"),
        ('name="x"; filename="a\\"; name=\\"number"', "$.number"),
        ('filename="a\\"; name=\\"number\\""; name="x"', "$.number"),
        ('filename="number"; name="x"', "$.number"),
        ('xname=number; name="x"', "$.number"),
    ],
)
def test_names_that_another_reading_would_select_are_refused(disposition, selector):
    with pytest.raises(BodyAmbiguous):
        values(raw(f"Content-Disposition: form-data; {disposition}\r\n\r\n1"), selector)


@pytest.mark.parametrize(
    "disposition",
    ['name="x%22"', 'name="a\\"b"', 'name="a\\b"', 'name="x"; filename="C:\\a\\b.png"', 'name="x"; filename="a\\"b"',
     'name="x"; filename="number"', 'name="x y.z"', 'filename="a.png"; name="x"', 'name="x"; filename="name=number"'],
)  # fmt: skip
def test_odd_names_that_nobody_selects_pass(disposition):
    assert values(raw(f"Content-Disposition: form-data; {disposition}\r\n\r\n1"), "$.number") == []


def test_another_reading_of_a_typed_parts_name():
    with pytest.raises(BodyAmbiguous):
        values(raw(typed("a%62", "application/json", '{"n":"1"}')), "$.ab.n")
    assert values(raw(typed("a%62", "text/plain", '{"n":"1"}')), "$.ab.n") == []


@pytest.mark.parametrize(
    "field",
    ["Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable", "Content-Length: 4",
     "Content-Encoding: gzip", "Content-Type: text/plain; charset=iso-8859-1",
     "Content-Type: text/plain; charset=utf-16",
     "Content-Type: text", "Content-Type: text/plain; charset=utf-8; charset=latin1", "Content-Type:"],
)  # fmt: skip
def test_a_selected_part_that_is_written_in_another_way_is_refused(field):
    with pytest.raises((BodyAmbiguous, BodyUnreadable)):
        values(raw(part("number", "4242", field)), "$.number")
    assert values(raw(part("other", "4242", field)), "$.number") == []


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json; charset=utf-16", '{"n":"1"}'),
        ("application/xml; charset=latin1", "<n>1</n>"),
        ("application/xml", "<?xml version='1.0' encoding='latin1'?><n>1</n>"),
        ("multipart/mixed; boundary=c", "--c\r\n\r\n1\r\n--c--"),
        ("multipart/form-data; boundary=c", "--c\r\n\r\n1\r\n--c--"),
        ("message/rfc822", "a: b"),
    ],
)
def test_a_part_that_cannot_be_read_is_refused_where_a_selector_leads_into_it(content_type, content):
    with pytest.raises((BodyAmbiguous, BodyUnreadable)):
        values(raw(typed("a", content_type, content)), "$.a.n")
    assert values(raw(typed("b", content_type, content)), "$.a.n") == []


def test_selected_text_must_be_utf_8():
    body = raw(part("number", "ab").encode() + b"\xff")
    with pytest.raises(BodyUnreadable) as caught:
        values(body, "$.number")
    assert caught.value.ids == {"offset": body.index(b"\xff")}
    assert caught.value.__context__ is None
    assert values(body, "$.other") == []


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "us-ascii", ""])
def test_the_charset_field(charset):
    assert values(raw(part("_charset_", charset), part("n", "1")), "$.n") == ["1"]


@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", "utf-7"])
def test_another_charset_is_refused(charset):
    with pytest.raises(BodyAmbiguous):
        values(raw(part("n", "1"), part("_charset_", charset)), "$.n")


def test_repeated_names():
    assert values(raw(part("a", "1"), part("a", "2"), part("card[number]", "3"))) == ["3"]
    with pytest.raises(DuplicateKey):
        values(raw(part("card[number]", "1"), part("card[number]", "2")))
    with pytest.raises(BodyAmbiguous):
        values(raw(part("card[number]", "1"), typed("card", "application/json", '{"number":"2"}')))
    with pytest.raises(ValueNotText):
        values(raw(part("card[number][x]", "1")))


@pytest.mark.parametrize("text", ["--b", "\r\n--b--", "a--bc", "\ud800"])
@pytest.mark.parametrize("where", [part("n", "1"), typed("n", "application/json", '"1"')])
def test_text_with_the_boundary_is_not_written(where, text):
    with pytest.raises(ValueNotText) as caught:
        fill(raw(where), [text], "$.n")
    assert caught.value.__context__ is None


def test_text_that_makes_a_boundary_with_its_surroundings_is_not_written():
    body = (
        b'--x=1\r\nContent-Disposition: form-data; name="n"\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n'
        b"--x=2\r\n--x=1--\r\n"
    )
    [place] = scan(body, "$.n['--x']", boundary=b"x=1")
    assert place.encode("2") == b"2"
    with pytest.raises(ValueNotText):
        place.encode("12")


def test_limits():
    assert len(scan(raw(*[part("x", "")] * 10_000))) == 0
    with pytest.raises(TooManyFields):
        scan(raw(*[part("x", "")] * 10_001))
    with pytest.raises(TooManyValues):
        scan(raw(*[part("n[]", "")] * 101), "$.n[*]")
    with pytest.raises(BodyTooComplex):
        scan(raw(part("a" + "[b]" * 129)))
    documents = [typed(f"a{number}", "application/json", '{"n":"1"}') for number in range(11)]
    assert len(scan(raw(*documents[:10]), "$..n")) == 10
    with pytest.raises(TooManyFields):
        scan(raw(*documents), "$..n")
    with pytest.raises(TooManyFields):
        scan(raw(*[part("x" + "[]" * 100, "")] * 101), "$..n")


@pytest.mark.parametrize(
    "body", [raw(part("card[4242", "4242")), raw(part("n").encode() + b"\xff"), raw(part("n"), part("n"), "4242")]
)
def test_no_error_keeps_the_body(body):
    with pytest.raises(BodyRejected) as caught:
        scan(body, "$['card_4242','n']")
    assert caught.value.__context__ is None
    assert "4242" not in f"{caught.value!r}".replace("card_4242", "")


def test_the_standard_library_reads_what_was_filled_in():
    body = raw(part("a", "x\r\ny"), part("n", "4242"), typed("j", "application/json", '{"n": "1"}'))
    filled = fill(body, ["tok é", "tok"], "$.n", "$.j.n")
    head = b'Content-Type: multipart/form-data; boundary="b"\r\n\r\n'
    read = [
        each.get_payload(decode=True).decode() for each in message_from_bytes(head + filled, policy=HTTP).iter_parts()
    ]
    assert read == ["x\r\ny", "tok é", '{"n": "tok"}']
