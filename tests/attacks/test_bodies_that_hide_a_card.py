"""Bodies that a receiver reads in another way than Panless could: nothing of them reaches the application."""

from __future__ import annotations

import base64

import pytest

PAN = "4242424242424242"
JSON = f'{{"card": {{"number": "{PAN}"}}}}'


def utf7(text: str) -> bytes:
    """Everything in UTF-7's base64, digits and markup too."""
    return b"+" + base64.b64encode(text.encode("utf-16-be")).rstrip(b"=") + b"-"


@pytest.mark.parametrize("spaces", [" ", " " * 300, "\n" * 250, "\t" * 600], ids=["one", "300", "lines", "600"])
async def test_an_encoding_far_behind_in_the_xml_declaration_is_seen(world, spaces):
    """libxml2 takes UTF-7 from the declaration: in it, a whole element can be written without one of its digits."""
    hidden = utf7(f"<number>{PAN}</number>")
    body = f'<?xml version="1.0"{spaces}encoding="UTF-7"?>'.encode() + b"<card>" + hidden + b"</card>"
    headers = {"Content-Type": "application/xml"}
    async with world.client.post(world.inbound + "/checkout", data=body, headers=headers) as answer:
        assert answer.status == 415
        assert answer.headers["Panless-Error"] == "charset_unsupported"
    assert not world.app.received


async def test_an_encoding_far_behind_in_a_parts_declaration_is_seen(world):
    part = (
        b'<?xml version="1.0"' + b" " * 300 + b'encoding="UTF-7"?><card>' + utf7(f"<number>{PAN}</number>") + b"</card>"
    )
    body = (
        b'--B\r\nContent-Disposition: form-data; name="card"\r\nContent-Type: text/xml\r\n\r\n'
        + part
        + b"\r\n--B--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    async with world.client.post(world.inbound + "/checkout", data=body, headers=headers) as answer:
        assert answer.status == 400
    assert not world.app.received


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json; charset=utf-7", utf7(JSON)),
        ("application/json", JSON.encode("utf-16")),
        ("application/json", JSON.encode("utf-32-le")),
        ("application/x-www-form-urlencoded; charset=utf-16le", f"card[number]={PAN}".encode("utf-16-le")),
        ("application/xml", f"<card><number>{PAN}</number></card>".encode("utf-16")),
        ("application/json, text/plain", b'{"card": {}}'),
        ("text/plain", b'{"card": {}}'),
        ("", b'{"card": {}}'),
    ],
)
async def test_what_only_some_receivers_read_is_refused(world, content_type, body):
    headers = {"Content-Type": content_type}
    async with world.client.post(world.inbound + "/checkout", data=body, headers=headers) as answer:
        assert answer.status in (400, 415), await answer.text()
    assert not world.app.received


@pytest.mark.xfail(strict=True, reason="the guard reads values of headers, not their names")
async def test_a_card_number_as_a_headers_name_is_refused(world):
    headers = {f"X-{PAN}": "1"}
    async with world.client.post(world.inbound + "/checkout", json={"card": {}}, headers=headers) as answer:
        assert answer.status == 422
    assert not world.app.received


@pytest.mark.xfail(strict=True, reason="without a body's charset, full-width digits and NBSP are known as UTF-8 alone")
@pytest.mark.parametrize("text", ["\uff14\uff12" * 8, "\u00a0".join(["4242"] * 4)], ids=["full-width", "nbsp"])
async def test_digits_and_spaces_in_utf_16_are_found(world, text):
    headers = {"Content-Type": "text/plain; charset=utf-16le"}
    async with world.client.post(world.inbound + "/upload/a", data=text.encode("utf-16-le"), headers=headers) as answer:
        assert answer.status == 422
    assert not world.app.received
