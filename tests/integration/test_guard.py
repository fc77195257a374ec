"""The leak guard: what looks like a card number does not get where none may be (promise 4)."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import zlib

import aiohttp
import pytest

from tests.harness.upstream import Answer
from vault.tokens import recognise

VISA, OTHER = "4111111111111111", "5555555555554444"
GROUPED = "4111-1111-1111-1111"
JSON = {"Content-Type": "application/json"}
LEAKS = {
    "body": {"data": json.dumps({"note": f"my card is {GROUPED}"}), "headers": JSON},
    "body number": {"data": f'{{"note": {VISA}}}', "headers": JSON},
    "query": {"params": {"q": VISA}, "data": "{}", "headers": JSON},
    "header": {"data": "{}", "headers": JSON | {"X-Note": f"for {VISA}"}},
}


async def post(world, path, **options):
    async with world.client.post(world.inbound + path, **options) as answer:
        return answer.status, answer.headers.get("Panless-Error"), await answer.read()


async def fetch(world, mode="refuse", **options):
    headers = {"Panless-Key": world.key} | options.pop("headers", {})
    async with world.client.get(f"{world.outbound}/gw-{mode}/charges", headers=headers, **options) as answer:
        return answer.status, answer.headers, await answer.read()


def everything(received) -> bytes:
    return received.head + received.body


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
async def test_a_leak_in_a_request_is_refused_and_nothing_is_forwarded(guarded, leak):
    status, code, body = await post(guarded, "/refuse", **leak)
    assert (status, code) == (422, "card_number_found")
    assert VISA.encode() not in body and GROUPED.encode() not in body
    assert guarded.app.received == []


async def test_a_leak_in_a_path_is_refused(guarded):
    for path in (f"/files/refuse/{VISA}", f"/files/refuse/a/{GROUPED}/b", "/files/refuse/%34111111111111111"):
        status, code, _ = await post(guarded, path)
        assert (status, code) == (422, "card_number_found"), path
    assert guarded.app.received == []


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
async def test_a_leak_in_a_request_is_tokenized(guarded, leak):
    status, _, _ = await post(guarded, "/tokenize", **leak)
    assert status == 200
    got = everything(guarded.app.last)
    assert VISA.encode() not in got and GROUPED.encode() not in got
    assert b"tok_" in got
    json.loads(guarded.app.last.body)


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
async def test_a_leak_in_a_request_is_reported_and_passes(guarded, leak):
    status, _, _ = await post(guarded, "/report", **leak)
    assert status == 200
    got = everything(guarded.app.last)
    assert VISA.encode() in got or GROUPED.encode() in got


@pytest.mark.parametrize("mode", ["refuse", "tokenize", "report"])
async def test_a_leak_leaves_an_event_a_count_and_a_log_line_without_the_number(guarded, mode):
    before = await _count(guarded, f"in-{mode}")
    await post(guarded, f"/{mode}", data=f'{{"a": "{OTHER}"}}', headers=JSON | {"X-Request-Id": f"leak-{mode}"})
    events = [event for event in await guarded.panless.events() if event.get("request_id") == f"leak-{mode}"]
    assert [event["action"] for event in events] == ["tokenize" if mode == "tokenize" else "guard"]
    assert events[0].get("code") == ("card_number_found" if mode == "refuse" else None)
    assert await _count(guarded, f"in-{mode}") == before + 1
    lines = [json.loads(line) for line in guarded.panless.log.splitlines() if f"leak-{mode}" in line]
    found = [line for line in lines if line.get("event") == "card_number_found"]
    assert [line["parts"] for line in found] == [["body"]]
    assert OTHER not in json.dumps(events) + guarded.panless.log


async def _count(world, route: str) -> float:
    async with world.client.get(f"{world.admin}/metrics") as answer:
        text = await answer.text()
    assert VISA not in text and OTHER not in text
    lines = [line for line in text.splitlines() if "leak" in line and f'"{route}"' in line and "_created" not in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_exceptions_are_left_alone_and_nothing_else_is(guarded):
    good = {"order": int(VISA), "x": {"ids": [VISA, OTHER]}, "card": {"number": OTHER}}
    status, _, _ = await post(guarded, "/except", json=good, params={"order": VISA}, headers={"X-Order": VISA})
    assert status == 200
    assert guarded.app.last.json()["order"] == int(VISA)
    assert recognise(guarded.app.last.json()["card"]["number"])
    for bad in ({"orders": VISA}, {"order": {"a": VISA}}, {"x": {"ids": VISA}}):
        assert (await post(guarded, "/except", json=bad))[0] == 422, bad
    assert (await post(guarded, "/except", json={}, params={"orders": VISA}))[1] == "card_number_found"
    assert (await post(guarded, "/except", json={}, headers={"X-Other": VISA}))[1] == "card_number_found"
    assert len(guarded.app.received) == 1


def _upload(pieces):
    async def made():
        for piece in pieces:
            yield piece

    return made()


@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
async def test_a_leak_in_a_streamed_upload_never_arrives_whole(guarded, coding):
    plain = b"x" * 100_000 + VISA.encode() + b"y" * 100_000
    body = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}[coding](plain)
    headers = {"Content-Type": "application/octet-stream"} | ({"Content-Encoding": coding} if coding else {})
    pieces = [body[at : at + 50] for at in range(0, len(body), 50)] if coding else [body[:100_007], body[100_007:]]
    try:
        status, code, _ = await post(guarded, "/files/refuse/a", data=_upload(pieces), headers=headers)
        assert (status, code) == (422, "card_number_found")
    except (ConnectionError, OSError):
        pass  # closed while the upload went on
    assert not any(VISA.encode() in received.body for received in guarded.app.received)


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_a_clean_streamed_upload_passes_byte_for_byte(guarded, coding):
    plain = b"order 1700000000000 " * 20_000
    body = gzip.compress(plain) if coding else plain
    headers = {"Content-Encoding": coding} if coding else {}
    for mode in ("refuse", "report"):
        assert (await post(guarded, f"/files/{mode}/a", data=_upload([body[:9], body[9:]]), headers=headers))[0] == 200
        assert guarded.app.last.body == body
        assert guarded.app.last.header("Content-Encoding") == (coding or None)


async def test_an_upload_that_cannot_be_searched_is_refused_or_reported_as_such(guarded):
    for coding in ("br", "gzip, br", "zstd"):
        status, code, _ = await post(guarded, "/files/refuse/a", data=b"\x01\x02", headers={"Content-Encoding": coding})
        assert (status, code) == (400, "body_unsearchable"), coding
        assert (await post(guarded, "/files/report/a", data=b"\x01\x02", headers={"Content-Encoding": coding}))[
            0
        ] == 200
    assert len(guarded.app.received) == 3


def _answer(body: bytes, *headers: tuple[str, str], chunked: bool = False) -> Answer:
    if not chunked:
        return Answer(200, body, [("Content-Type", "application/json"), *headers])
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", "Transfer-Encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    return Answer(raw=head + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n")


ANSWER = json.dumps({"card": VISA, "n": 1}).encode()
LONG = b'{"pad": "' + b"x " * 40_000 + b'", "card": "' + VISA.encode() + b'", "more": "' + b"y " * 40_000 + b'"}'
ANSWERS = {
    "small": _answer(ANSWER),
    "number": _answer(f'{{"card": {VISA}}}'.encode()),
    "chunked": _answer(ANSWER, chunked=True),
    "gzip": _answer(gzip.compress(ANSWER), ("Content-Encoding", "gzip")),
    "deflate": _answer(zlib.compress(ANSWER), ("Content-Encoding", "deflate")),
    "gzip, chunked": _answer(gzip.compress(ANSWER), ("Content-Encoding", "gzip"), chunked=True),
    "long": _answer(LONG),
    "long, chunked": _answer(LONG, chunked=True),
    "long, gzip": _answer(gzip.compress(LONG), ("Content-Encoding", "gzip"), chunked=True),
    "header": _answer(b"{}", ("X-Card", VISA)),
    "header, chunked": _answer(b"{}", ("X-Card", GROUPED), chunked=True),
}


def _plain(headers, body: bytes) -> bytes:
    coding = headers.get("Content-Encoding")
    return gzip.decompress(body) if coding == "gzip" else zlib.decompress(body) if coding == "deflate" else body


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_leak_in_an_answer_does_not_reach_the_app(guarded, answer):
    guarded.gateway.answer = answer
    got, headers = b"", {}
    request = guarded.client.get(f"{guarded.outbound}/gw-refuse/charges", headers={"Panless-Key": guarded.key})
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):  # a long answer is cut off on the way
        async with request as answered:
            headers = answered.headers
            async for piece in answered.content.iter_any():
                got += piece
    if headers.get("Content-Encoding") == "gzip":
        got = zlib.decompressobj(31).decompress(got)
    assert VISA.encode() not in got
    assert GROUPED not in str(headers) and VISA not in str(headers)
    assert headers.get("Panless-Error") == "answer_holds_card_number" or b'"more"' not in got
    assert len(guarded.gateway.received) == 1


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_leak_in_an_answer_is_tokenized(guarded, answer):
    guarded.gateway.answer = answer
    status, headers, body = await fetch(guarded, "tokenize")
    assert status == 200
    got = _plain(headers, body) + str(headers).encode()
    assert VISA.encode() not in got and GROUPED.encode() not in got
    assert b"tok_" in got
    json.loads(_plain(headers, body))


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_leak_in_an_answer_is_reported_and_passes(guarded, answer):
    guarded.gateway.answer = answer
    status, headers, body = await fetch(guarded, "report")
    got = _plain(headers, body) + str(headers).encode()
    assert status == 200
    assert VISA.encode() in got or GROUPED.encode() in got


async def test_events_are_passed_on_one_by_one_as_they_come(guarded):
    """An answer is not held back until more of it is there: the gateway waits here until the app has each event."""
    seen = asyncio.Semaphore(0)

    async def stream(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            writer.write(b"%x\r\n%b\r\n" % (len(_event(number)), _event(number)))
            await writer.drain()
            await asyncio.wait_for(seen.acquire(), 10)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    guarded.gateway.answer = Answer(stream=stream)
    url = f"{guarded.outbound}/gw-refuse/events"
    async with guarded.client.get(url, headers={"Panless-Key": guarded.key}) as answer:
        for number in range(5):
            assert await asyncio.wait_for(answer.content.readany(), 10) == _event(number)
            seen.release()


def _event(number: int) -> bytes:
    return b"data: %d\n\n" % (1_700_000_000_000 + number)
