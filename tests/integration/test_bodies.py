"""Every type of body, in every charset and coding, both ways: tokens in, card numbers out, all else as it was sent."""

from __future__ import annotations

import codecs
import gzip
import zlib

import pytest
from yarl import URL

from tests.harness import configuration
from vault.tokens import recognise

VISA, AMEX, CVC = "4242424242424242", "378282246310005", "7319"
FORM = "application/x-www-form-urlencoded"
MULTIPART = 'multipart/form-data; boundary="xx"'

JSON_TEXT = '{{ "caf\u00e9": 1.10, "card": {{"number":"{0}", "cvc": "{1}"}}, "z": [1e2] }}'
XML_TEXT = '<pay caf\u00e9="1"><card><number>{0}</number><cvc>{1}</cvc></card><!-- kept --></pay>'


def xml_of(charset: str) -> str:
    return f'<?xml version="1.0" encoding="{charset}"?>{XML_TEXT}'


# By name: how it is written (text, encoding), and its Content-Type; fields are `$.card.number` and `$.card.cvc`.
JSONS = {
    "json": (JSON_TEXT, "utf-8", "application/json"),
    "json, suffix": (JSON_TEXT, "utf-8", "application/vnd.pay+json; charset=UTF-8"),
    "json, latin-1": (JSON_TEXT, "latin-1", "application/json; charset=iso-8859-1"),
    "json, windows-1252": (JSON_TEXT, "cp1252", "application/json; charset=windows-1252"),
    "json, utf-16le": (JSON_TEXT, "utf-16-le", "application/json; charset=utf-16le"),
    "json, utf-16be": (JSON_TEXT, "utf-16-be", 'application/json; charset="UTF-16BE"'),
    "json, utf-16 with its mark": (JSON_TEXT, "utf-16", "application/json; charset=utf-16"),
    "json, marked": ("\ufeff" + JSON_TEXT, "utf-8", "application/json"),
    "json, marked at the end": (JSON_TEXT + "\ufeff", "utf-8", "application/json"),
    "json, marked twice": ("\ufeff" + JSON_TEXT + "\ufeff", "utf-8", "text/json"),
    "xml": (XML_TEXT, "utf-8", "application/xml"),
    "xml, latin-1": (xml_of("iso-8859-1"), "latin-1", "text/xml"),
    "xml, latin-1 twice": (xml_of("iso-8859-1"), "latin-1", "application/soap+xml; charset=latin1"),
    "xml, utf-16": (xml_of("utf-16"), "utf-16", "application/xml; charset=utf-16"),
    "xml, utf-16le": (XML_TEXT, "utf-16-le", "application/xml; charset=utf-16le"),
    "xml, marked": ("\ufeff" + XML_TEXT, "utf-8", "application/xml"),
    "form": ("a=%7e&card%5Bnumber%5D={0}&card[cvc]={1}&z=+", "utf-8", FORM),
    "multipart": (
        '--xx\r\nContent-Disposition: form-data; name="card[number]"\r\n\r\n{0}\r\n'
        '--xx\r\nContent-Disposition: form-data; name="card[cvc]"\r\n\r\n{1}\r\n--xx--\r\n',
        "utf-8",
        MULTIPART,
    ),
}
BAD = {
    "latin-1 that is none": (JSON_TEXT.encode("utf-16-le"), "application/json; charset=utf-8"),
    "utf-16 without a mark": (JSON_TEXT.encode("utf-16-le"), "application/json; charset=utf-16"),
    "another charset": (JSON_TEXT.encode(), "application/json; charset=utf-7"),
    "form in utf-16": (b"card[number]=1", f"{FORM}; charset=utf-16le"),
    "two charsets": (JSON_TEXT.encode(), "application/json; charset=utf-8; charset=utf-16"),
    "xml says another charset": (xml_of("iso-8859-1").encode("latin-1"), "application/xml; charset=utf-8"),
    "xml says an unknown charset": (xml_of("utf-7").encode(), "application/xml"),
}  # fmt: skip


async def send(world, url, body, content_type, **options):
    headers = {"Content-Type": content_type, "Panless-Key": world.key} | options.pop("headers", {})
    async with world.client.post(URL(url, encoded=True), data=body, headers=headers, **options) as answer:
        return answer.status, answer.headers.get("Panless-Error")


def written(text: str, encoding: str, number: str, code: str) -> bytes:
    return text.format(number, code).encode(encoding)


@pytest.mark.parametrize("case", JSONS.values(), ids=JSONS)
async def test_every_body_goes_in_with_tokens_and_out_with_values(guarded, case):
    text, encoding, content_type = case
    status, code = await send(guarded, guarded.inbound + "/refuse", written(*case[:2], VISA, CVC), content_type)
    assert (status, code) == (200, None)
    body = guarded.app.last.body
    number, cvc = tokens_in(body.decode(encoding))
    assert body == written(text, encoding, number, cvc)
    assert guarded.app.last.header("Content-Length") == str(len(body))
    status, code = await send(guarded, guarded.outbound + "/gw-refuse/x", body, content_type)
    assert (status, code) == (200, None)
    assert guarded.gateway.last.body == written(text, encoding, VISA, CVC)


def tokens_in(text: str) -> tuple[str, str]:
    import re

    number, cvc = re.findall(r"tok_\w{26}", text)[0], re.findall(r"cvc_\w{26}", text)[0]
    assert recognise(number) and recognise(cvc)
    return number, cvc


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
async def test_a_charset_that_is_unknown_or_in_conflict_is_refused(guarded, body):
    for url in (guarded.inbound + "/refuse", guarded.outbound + "/gw-refuse/x"):
        status, code = await send(guarded, url, *body)
        assert status in (400, 415), code
    assert guarded.app.received == guarded.gateway.received == []


async def test_what_a_charset_cannot_write_is_refused(guarded):
    body = codecs.BOM_UTF16_LE + b"{\x00\x00\xd8}\x00"
    assert (await send(guarded, guarded.inbound + "/refuse", body, "application/json; charset=utf-16"))[0] == 400
    assert guarded.app.received == []


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "raw deflate"])
async def test_a_compressed_body_arrives_plain(guarded, coding):
    plain = f'{{"card": {{"number": "{VISA}"}}}}'.encode()
    raw = zlib.compressobj(wbits=-15)
    packed = {"deflate": zlib.compress, "raw deflate": lambda data: raw.compress(data) + raw.flush()}
    body = packed.get(coding, gzip.compress)(plain)
    headers = {"Content-Encoding": coding.removeprefix("raw ")}
    assert await send(guarded, guarded.inbound + "/refuse", body, "application/json", headers=headers) == (200, None)
    received = guarded.app.last
    assert received.header("Content-Encoding") is None
    assert received.header("Content-Length") == str(len(received.body))
    assert recognise(received.json()["card"]["number"])


async def test_a_compressed_body_without_a_length_arrives_plain(guarded):
    body = gzip.compress(f'{{"card": {{"number": "{AMEX}"}}}}'.encode())

    async def pieces():
        for at in range(len(body)):
            yield body[at : at + 1]

    headers = {"Content-Encoding": "gzip"}
    assert await send(guarded, guarded.inbound + "/refuse", pieces(), "application/json", headers=headers) == (
        200,
        None,
    )
    assert recognise(guarded.app.last.json()["card"]["number"])


@pytest.mark.parametrize(
    ("coding", "status", "code"),
    [("br", 415, "content_encoding_unsupported"), ("gzip, gzip", 415, "content_encoding_unsupported"),
     ("gzip", 400, "content_encoding_invalid"), ("deflate", 400, "content_encoding_invalid")],
)  # fmt: skip
async def test_a_coding_that_is_unknown_or_wrong_is_refused(guarded, coding, status, code):
    headers = {"Content-Encoding": coding}
    for url in (guarded.inbound + "/refuse", guarded.outbound + "/gw-refuse/x"):
        assert await send(guarded, url, b'{"a": 1}', "application/json", headers=headers) == (status, code)
    assert guarded.app.received == guarded.gateway.received == []


async def test_a_body_that_inflates_too_far_is_refused(guarded):
    body = gzip.compress(bytes(20 * 2**20))
    answer = await send(
        guarded, guarded.inbound + "/refuse", body, "application/json", headers={"Content-Encoding": "gzip"}
    )
    assert answer == (413, "body_too_large")
    assert guarded.app.received == []


async def test_fields_in_the_query_and_in_headers_go_both_ways(guarded):
    url = f"{guarded.inbound}/refuse?a=%7e&card=4242+4242+4242+4242&z"
    headers = {"X-Card": f"  {AMEX} "}
    assert await send(guarded, url, b"{}", "application/json", headers=headers) == (200, None)
    received = guarded.app.last
    before, token, after = received.target.removeprefix("/refuse?").split("&")
    assert (before, after) == ("a=%7e", "z")
    card, header = token.removeprefix("card="), received.header("X-Card").strip()
    assert recognise(card) and recognise(header)
    url = f"{guarded.outbound}/gw-refuse/x?b=1&card={card}"
    assert await send(guarded, url, b"{}", "application/json", headers={"X-Card": header}) == (200, None)
    assert guarded.gateway.last.target == f"/gw-refuse/x?b=1&card={VISA}"
    assert guarded.gateway.last.header("X-Card") == AMEX


async def test_fields_in_the_query_and_in_headers_are_refused_where_they_can_be_read_in_two_ways(guarded):
    for query in (f"card={VISA}&card={AMEX}", f"c%61rd={VISA}&card={AMEX}", "card=%zz", "card=%ff"):
        status, code = await send(guarded, f"{guarded.inbound}/refuse?{query}", b"{}", "application/json")
        assert (status, code) == (400, "query_rejected") or status == 422, query
    headers = [("Content-Type", "application/json"), ("X-Card", VISA), ("X-Card", AMEX)]
    async with guarded.client.post(f"{guarded.inbound}/refuse", data=b"{}", headers=headers) as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (400, "header_repeated")
    assert guarded.app.received == []


@pytest.mark.parametrize(
    ("slot", "headers", "options"),
    [
        ("bearer", {"Authorization": "Bearer {key}"}, {}),
        ("header", {"X-Api-Key": "{key}"}, {}),
        ("query", {}, {"params": {"key": "{key}", "a": "1"}}),
        ("body", {}, {"json": {"apiKey": "{key}", "a": 1}}),
        ("basic", {"Authorization": "Basic {basic}"}, {}),
        ("password", {"Authorization": "Basic {password}"}, {}),
    ],
)
async def test_the_gateways_secret_takes_the_keys_place(guarded, slot, headers, options):
    import base64
    import json

    def encoded(pair: str) -> str:
        return base64.b64encode(pair.encode()).decode()

    fill = {"key": guarded.key, "basic": encoded(f"{guarded.key}:"), "password": encoded(f"me:{guarded.key}")}
    filled = {name: value.format(**fill) for name, value in headers.items()}
    options = json.loads(json.dumps(options).replace("{key}", guarded.key))
    async with guarded.client.post(f"{guarded.outbound}/slot-{slot}/x", headers=filled, **options) as answer:
        assert answer.status == 200, await answer.text()
    got = guarded.gateway.last
    everything = got.head + got.body
    secret = configuration.GATEWAY_SECRET
    wanted = {"basic": encoded(f"{secret}:"), "password": encoded(f"me:{secret}")}.get(slot, secret)
    assert wanted.encode() in everything
    assert b"plk_" not in everything
    assert fill["basic"].encode() not in everything and fill["password"].encode() not in everything


async def test_a_credential_of_the_apps_own_stays_unless_the_secret_always_goes_over_it(guarded):
    for slot, wanted in (("bearer", "Bearer own"), ("always", f"Bearer {configuration.GATEWAY_SECRET}")):
        headers = {"Authorization": "Bearer own"}
        url = f"{guarded.outbound}/slot-{slot}/x"
        assert (await send(guarded, url, b"{}", "application/json", headers=headers))[0] == 200
        assert guarded.gateway.last.header("Authorization") == wanted


async def test_a_key_where_it_would_be_sent_on_is_refused(guarded):
    url, body = f"{guarded.outbound}/gw-refuse/", b'{"a": "%b"}' % guarded.key.encode()
    for target, sent in ((url, body), (f"{url}?k={guarded.key}", b"{}"), (f"{url}{guarded.key}/x", b"{}")):
        assert await send(guarded, target, sent, "application/json") == (400, "key_misplaced"), target
    assert guarded.gateway.received == []
