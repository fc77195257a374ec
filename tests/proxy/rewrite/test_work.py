"""Work is linear in the body: twice the body takes at most about twice the calls, in Python and into C."""

import sys
from contextlib import suppress

import pytest

from proxy.rewrite import form, json, multipart, xml
from proxy.rewrite.errors import BodyRejected
from proxy.rewrite.media import BodyType
from proxy.rewrite.selectors import Automaton, Selector

SCANNERS = {BodyType.JSON: json.scan, BodyType.FORM: form.scan, BodyType.XML: xml.scan}


def calls(scan, body: bytes, selector: str) -> int:
    """How many calls a scan takes."""
    start = Automaton((Selector.parse(selector),)).start()
    with suppress(BodyRejected):
        scan(body, start)  # what is remembered of the selector is made here
    count = 0

    def counting(_frame, event, _argument):
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        with suppress(BodyRejected):
            scan(body, start)
    finally:
        sys.setprofile(before)
    return count


def multipart_body(body: bytes, start):
    return multipart.scan(body, start, b"b", SCANNERS)


def part(fields: str, content: str = "") -> str:
    return f"--b\r\nContent-Disposition: form-data; {fields}\r\n\r\n{content}\r\n"


XML = {
    "elements": ("<a>", "<b>1</b>", "</a>"),
    "attributes": ("<a>", "<b c='1' number=''/>", "</a>"),
    "one start tag": ("<card", " x{}='' p:y{}=''", "><number>1</number></card>"),
    "pieces": ("<card><number>1", "&amp;<![CDATA[x]]>\r<!---->", "2</number></card>"),
    "around": ("<!---->", "<?x ?> ", "<card/>"),
    "levels": ("<a>", "<b><b><b></b></b></b>", "</a>"),
    "not closed": ("<card>", "<b>", ""),
    "comment": ("<card><number>", "<!--", ""),
    "mixed": ("<card>", "x<b/>", "</card>"),
}
MULTIPART = {
    "parts": ("", part('name="a"'), "--b--"),
    "names": ("", part('name="a.b%22[c"'), "--b--"),
    "searched": ("", part('name="a"; filename="' + 'name=\\"' * 20 + '"'), "--b--"),
    "content": ('--b\r\nContent-Disposition: form-data; name="number"\r\n\r\n', "-\r\n--", "\r\n--b--"),
    "white space": ("", "\r\n", "--b--"),
    "header": ("--b\r\n", "x: y\r\n", "\r\n\r\n--b--"),
}


def written(body: tuple[str, str, str], times: int) -> bytes:
    """The body with so many pieces; `{}` is the number of one."""
    start, piece, end = body
    return (start + "".join(piece.replace("{}", str(number)) for number in range(times)) + end).encode()


@pytest.mark.parametrize("selector", ["$.card.number", "$..number", "$.card[*]", "$..b[*].c", "$..['@z']"])
@pytest.mark.parametrize("name", XML)
def test_xml(name, selector):
    check(xml.scan, XML[name], selector)


@pytest.mark.parametrize("selector", ["$.card.number", "$..number", "$.a[*].b"])
@pytest.mark.parametrize("name", MULTIPART)
def test_multipart(name, selector):
    check(multipart_body, MULTIPART[name], selector)


def check(scan, body: tuple[str, str, str], selector: str) -> None:
    once, twice = (calls(scan, written(body, times), selector) for times in (300, 600))
    assert twice <= 2 * once + 100


@pytest.mark.parametrize("name", XML)
def test_what_no_selector_enters_costs_at_most_its_elements(name):
    body = b"<r>" + written(XML[name], 300) + b"</r>"
    assert calls(xml.scan, body, "$.zzz") <= 20 * body.count(b"<") + 200
