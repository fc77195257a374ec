"""What was revealed in a request does not come back in its answer (promise 4), in whatever form; the rest stays."""

from __future__ import annotations

import base64
import html
import json
import random
import urllib.parse

import pytest

from proxy.rewrite.scrub import Scrubber, Secret
from tests.harness.cards import cards
from vault.sensitive import Sensitive

PAN, TOKEN = "4242424242424242", "tok_01h455vb4pex5vsknk084sn02q"
CVC, CODE = "731", "cvc_01h455vb4pex5vsknk084sn02q"
SCRUBBER = Scrubber([Secret(Sensitive(PAN), TOKEN), Secret(Sensitive(CVC), CODE)])


def of(*values: str) -> Scrubber:
    return Scrubber([Secret(Sensitive(value), f"tok_{number}") for number, value in enumerate(values)])


def wide(text: str) -> str:
    return "".join(chr(0xFF10 + int(digit)) for digit in text)


FORMS = {
    "plain": PAN,
    "grouped": "4242 4242 4242 4242",
    "with dashes": "4242-4242-4242-4242",
    "with dots": "4242.4242.4242.4242",
    "with NBSP": "4242\u00a04242\u00a04242\u00a04242",
    "with plus, as forms have it": "4242+4242+4242+4242",
    "with %20": "4242%204242%204242%204242",
    "with &nbsp;": "4242&nbsp;4242&nbsp;4242&nbsp;4242",
    "every digit apart": " ".join(PAN),
    "full width": wide(PAN),
    "JSON escapes": "".join(f"\\u{ord(digit):04x}" for digit in PAN),
    "some JSON escapes": "\\u0034242424242424\\u003242",
    "JSON escapes of full width": "".join(f"\\u{ord(digit):04X}" for digit in wide(PAN)),
    "JSON escapes of NBSP": "4242\\u00a04242\\u00A04242\\u00a04242",
    "percent": "".join(f"%{ord(digit):02X}" for digit in PAN),
    "decimal references": "".join(f"&#{ord(digit)};" for digit in PAN),
    "hexadecimal references": "".join(f"&#x{ord(digit):x};" for digit in PAN),
    "hex": PAN.encode().hex(),
    "HEX": PAN.encode().hex().upper(),
    "inside a longer number": f"00{PAN}99",
    "beside letters": f"pan{PAN}x",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_card_number_is_found_in_every_form(form):
    data = f"before: {FORMS[form]}, after".encode()
    assert SCRUBBER.found_in(data)
    cleaned = SCRUBBER.clean(data)
    assert TOKEN.encode() in cleaned
    assert cleaned.startswith(b"before: ")
    assert cleaned.endswith(b", after")
    assert not SCRUBBER.found_in(cleaned)
    assert FORMS[form].encode() not in cleaned


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", '{"number":"'])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_card_number_is_found_in_base64_at_every_alignment(before, encode):
    data = encode(f"{before}{PAN}xyz".encode())
    head, token, tail = SCRUBBER.clean(b"data=" + data).partition(TOKEN.encode())
    assert token
    assert data.startswith(head.removeprefix(b"data="))
    assert data.endswith(tail)
    # Sixteen digits are 21 characters; the one at either end may hold bits of its neighbour, too.
    assert len(data) - len(head.removeprefix(b"data=")) - len(tail) >= 20


@pytest.mark.parametrize("pan", cards())
def test_every_test_card_is_found_and_no_other_one_instead(pan):
    scrubber = of(pan)
    for form in (pan, "-".join(pan), pan.encode().hex(), wide(pan)):
        assert scrubber.clean(form.encode()) == b"tok_0"
    for other in cards():
        if pan not in other:
            assert scrubber.clean(other.encode()) == other.encode()


def test_all_of_several_values_are_found_and_each_gets_its_own_token():
    first, second, third = cards()[:3]
    data = f"{third} {first} {second} {first}".encode()
    assert of(first, second, third).clean(data) == b"tok_2 tok_0 tok_1 tok_0"


def test_a_value_inside_a_longer_one_does_not_hide_it():
    assert of("424242424242", PAN).clean(f"{PAN} 424242424242".encode()) == b"tok_1 tok_0"


def test_what_has_nothing_in_it_is_the_same_object():
    for data in (b"", b'{"amount": 4242, "id": "x"}', b"\xff\x00" * 10, b"424242424242424"):
        assert SCRUBBER.clean(data) is data
        assert SCRUBBER.clean(data, is_json=True) is data


def test_only_the_finding_is_changed():
    noise = random.Random(1).randbytes(5000)  # noqa: S311
    data = noise + PAN.encode() + noise
    assert SCRUBBER.clean(data) == noise + TOKEN.encode() + noise


def cleaned_json(text: str):
    return json.loads(SCRUBBER.clean(text.encode(), is_json=True))


def test_json_stays_json_also_where_a_number_becomes_a_token():
    text = '{"number":4242424242424242,"list":[1,4242424242424242],"text":"a 4242424242424242 b","price":1.10}'
    assert cleaned_json(text) == {"number": TOKEN, "list": [1, TOKEN], "text": f"a {TOKEN} b", "price": 1.1}
    assert b'"price":1.10' in SCRUBBER.clean(text.encode(), is_json=True)


def test_a_card_number_as_the_name_of_a_member_is_found():
    assert cleaned_json('{"4242424242424242": 1, "\\u0034242424242424242": 2}') == {TOKEN: 2}


@pytest.mark.parametrize("name", ["cvc", "CVV", "cvv2", "card_cvc", "csc", "cid", "securityCode", "verification_value"])
def test_a_code_is_found_as_text_and_as_a_number_under_its_name(name):
    assert cleaned_json(f'{{"{name}": "731"}}') == {name: CODE}
    assert cleaned_json(f'{{"{name}": 731}}') == {name: CODE}
    assert cleaned_json(f'{{"{name}": [731], "x": 1}}')[name] == [CODE]


@pytest.mark.parametrize(
    "text",
    [
        '{"amount": 731}',
        '{"amount": 7310}',
        '{"cvc": 7310}',
        '{"cvc": 1731}',
        '{"cvc": 731.5}',
        '{"cvc": -731.0}',
        '{"at": "2024-07-31T07:31:00"}',
        '{"price": "731.00"}',
        '{"price": "1,731"}',
        '{"id": "order-731"}',
        '{"id": "ch_731"}',
        '{"id": "a731"}',
        '{"ip": "192.0.2.731"}',
    ],
)
def test_what_only_has_the_digits_of_a_code_stays(text):
    data = text.encode()
    assert SCRUBBER.clean(data, is_json=True) == data


@pytest.mark.parametrize("text", ["cvc=731&x=1", "code: 731.", "(731)", "<cvc>731</cvc>", "731", "x 731\n", "cvc:731;"])
def test_a_code_that_stands_alone_in_text_is_found(text):
    assert SCRUBBER.clean(text.encode()) == text.replace("731", CODE).encode()


def test_a_code_written_in_escapes_is_found():
    for form in ("\\u0037\\u0033\\u0031", "%37%33%31", wide("731")):
        assert SCRUBBER.clean(f'"{form}"'.encode()) == f'"{CODE}"'.encode()


def test_header_values_are_cleaned_and_strange_bytes_in_them_stay():
    assert SCRUBBER.clean_text(f"https://x/?n={PAN}&c=731") == f"https://x/?n={TOKEN}&c={CODE}"
    strange = b"caf\xe9 \xff".decode("utf-8", "surrogateescape")
    assert SCRUBBER.clean_text(strange) == strange
    assert SCRUBBER.clean_text(strange + PAN) == strange + TOKEN


@pytest.mark.parametrize(
    "text",
    ['{"a":"4242424242424242', '"\\', '{"a":"\\"4242424242424242', "[4242424242424242", '"" "4242424242424242'],
)
def test_json_that_is_broken_still_keeps_nothing(text):
    assert PAN.encode() not in SCRUBBER.clean(text.encode(), is_json=True)


def test_long_answers_take_time_in_proportion():
    import time

    def seconds(size: int) -> float:
        data = (b'{"a":"4242 4242 4242 ", "b":[42,42,42,42], "c":"\\u0034\\u0032%34&#52;"},' * size)[: size * 64]
        begin = time.perf_counter()
        SCRUBBER.clean(data + PAN.encode(), is_json=True)
        return time.perf_counter() - begin

    assert seconds(4000) < 40 * max(seconds(400), 0.001)


# Forms that a gateway may answer with and that are not found yet.
MISSED = {
    "percent twice": urllib.parse.quote("".join(f"%{ord(digit):02X}" for digit in PAN)),
    "a thin space as it is": "4242\u20094242\u20094242\u20094242",
    "a narrow space as it is": "4242\u202f4242\u202f4242\u202f4242",
    "a tab": "4242\t4242\t4242\t4242",
    "references with zeros before": "".join(f"&#00{ord(digit)};" for digit in PAN),
    "three spaces": "4242   4242   4242   4242",
    "mixed hex": "3432 3432 3432 3432 3432 3432 3432 3432",
    "UTF-16": PAN.encode("utf-16-le").decode("latin-1"),
    "split by markup": "4242<wbr>4242<wbr>4242<wbr>4242",
}


@pytest.mark.parametrize("form", MISSED)
@pytest.mark.xfail(strict=True, reason="not searched for")
def test_a_card_number_is_found_in_forms_beyond(form):
    assert SCRUBBER.found_in(MISSED[form].encode())


def test_the_references_that_html_knows_are_the_ones_that_are_searched_for():
    assert html.unescape(FORMS["decimal references"]) == html.unescape(FORMS["hexadecimal references"]) == PAN
