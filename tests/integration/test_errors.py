"""Bad input and failing parts: each has its own code, nothing is forwarded, nothing is lost (promise 1)."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.harness.upstream import Answer
from tests.harness.waiting import until

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


async def _problem(answer, status, code):
    """Check that an answer is a problem document as RFC 9457 and the contract have it, and return it."""
    body = await answer.read()
    assert (answer.status, answer.headers.get("Panless-Error")) == (status, code), body
    assert answer.content_type == "application/problem+json"
    document = json.loads(body)
    assert document["code"] == code
    assert document["status"] == status
    assert document["title"] and document["detail"]
    assert document["request_id"] == answer.headers["X-Request-Id"]
    return document


BAD_BODIES = [
    ("unreadable json", JSON, b'{"card": {"number": "4242424242424242"', 400, "body_unreadable"),
    ("json with trailing comma", JSON, b'{"card": {"number": "4242424242424242",}}', 400, "body_unreadable"),
    ("invalid utf-8", JSON, b'{"card": {"number": "4242\xff"}}', 400, "body_unreadable"),
    ("unreadable form", FORM, b"card[number]=4242%4", 400, "body_unreadable"),
    ("content type missing", None, b'{"card": {"number": "4242424242424242"}}', 415, "content_type_missing"),
    ("content type wrong", "text/plain", b'{"card": {"number": "4242424242424242"}}', 415, "content_type_unsupported"),
    ("content type garbage", "application", b"{}", 415, "content_type_unsupported"),
    ("charset unknown", f"{JSON}; charset=utf-7", b"{}", 415, "charset_unsupported"),
    ("charset wide", f"{JSON}; charset=UTF-16", b"{}", 415, "charset_unsupported"),
    ("two charsets", f"{JSON}; charset=utf-8; charset=utf-16", b"{}", 415, "content_type_unsupported"),
    ("duplicate key", JSON, b'{"card": {"number": "4242424242424242", "number": "1"}}', 400, "duplicate_key"),
    ("duplicate parent", JSON, b'{"card": {"number": "4242424242424242"}, "card": {}}', 400, "duplicate_key"),
    ("duplicate escaped", JSON, b'{"card": {"number": "1", "n\\u0075mber": "4242424242424242"}}', 400, "duplicate_key"),
    ("duplicate in form", FORM, b"card[number]=4242424242424242&card%5Bnumber%5D=1", 400, "duplicate_key"),
    ("no card number", JSON, b'{"card": {"number": "hello"}}', 422, "pan_invalid"),
    ("empty card number", JSON, b'{"card": {"number": ""}}', 422, "pan_invalid"),
    ("luhn fails", JSON, b'{"card": {"number": "4242424242424241"}}', 422, "pan_invalid"),
    ("too short", JSON, b'{"card": {"number": "42424242420"}}', 422, "pan_invalid"),
    ("all zeros", JSON, b'{"card": {"number": "0000000000000000"}}', 422, "pan_invalid"),
    ("other digits", JSON, '{"card": {"number": "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢"}}'.encode(), 422, "pan_invalid"),
    ("no cvc", JSON, b'{"card": {"number": "4242424242424242", "cvc": "12"}}', 422, "cvc_invalid"),
    ("json decimal", JSON, b'{"card": {"number": 4242424242424242.0}}', 422, "value_not_string"),
    ("object", JSON, b'{"card": {"number": {"x": 1}}}', 422, "value_not_text"),
    ("too deep", JSON, b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "body_too_complex"),
    ("too large", JSON, b'{"a": "' + b"x" * 70_000 + b'"}', 413, "body_too_large"),
]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"), [b[1:] for b in BAD_BODIES], ids=[b[0] for b in BAD_BODIES]
)
async def test_bad_body_is_refused_and_nothing_is_forwarded(world, content_type, body, status, code):
    headers = {"Content-Type": content_type} if content_type else {}
    async with world.client.post(
        f"{world.inbound}/checkout", data=body, headers=headers, skip_auto_headers=["Content-Type"]
    ) as answer:
        problem = await _problem(answer, status, code)
    assert "4242" not in json.dumps(problem)
    assert world.app.received == []


async def test_too_large_without_a_length_is_refused(world):
    async def pieces():
        yield b'{"a": "'
        for _ in range(100):
            yield b"x" * 1000
        yield b'"}'

    async with world.client.post(f"{world.inbound}/checkout", data=pieces(), headers={"Content-Type": JSON}) as answer:
        await _problem(answer, 413, "body_too_large")
    assert world.app.received == []


async def test_compressed_body_is_refused(world):
    headers = {"Content-Type": JSON, "Content-Encoding": "br"}
    async with world.client.post(f"{world.inbound}/checkout", data=b"x", headers=headers) as answer:
        await _problem(answer, 415, "content_encoding_unsupported")


async def test_one_bad_value_stores_nothing_of_the_request(world):
    card = {"number": "378282246310005", "cvc": "1x"}
    async with world.client.post(f"{world.inbound}/checkout", json={"card": card}) as answer:
        await _problem(answer, 422, "cvc_invalid")
    assert world.app.received == []


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/nowhere", "POST", 404, "route_not_found"),
        ("/checkout", "GET", 405, "method_not_allowed"),
        ("/checkout/", "POST", 404, "route_not_found"),
        ("/upload/../checkout", "POST", 400, "target_invalid"),
        ("/upload/%2e%2e/admin", "GET", 400, "target_invalid"),
        ("/upload/..%2fadmin", "GET", 400, "target_invalid"),
        ("/upload/%252e%252e/admin", "GET", 400, "target_invalid"),
    ],
)
async def test_paths_that_no_route_takes(world, path, method, status, code):
    from yarl import URL

    async with world.client.request(method, URL(world.inbound + path, encoded=True)) as answer:
        await _problem(answer, status, code)
    assert world.app.received == []


async def _raw(url: str, request: bytes) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(65536), 5)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (
            b"POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "framing_conflict",
        ),
        (
            b"POST /checkout HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            "framing_conflict",
        ),
        (
            b"POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
            "framing_conflict",
        ),
        (
            b"POST /checkout HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "request_malformed",
        ),
        (b"GET http://evil.example/checkout HTTP/1.1\r\nHost: x\r\n\r\n", "target_invalid"),
        (b"GET /checkout HTTP/1.1\r\nHost: x\r\nBad Header 4242424242424242: 1\r\n\r\n", "request_malformed"),
        (b"GET /checkout HTTP/1.1\r\n\r\n", "request_malformed"),
        (b"GET /checkout HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "request_malformed"),
        (b"4242424242424242\r\n\r\n", "request_malformed"),
    ],
)
async def test_malformed_requests(world, request_, code):
    answer = await _raw(world.inbound, request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"panless-error: {code}".encode() in head.lower()
    assert json.loads(body)["code"] == code
    assert b"4242" not in answer
    assert world.app.received == []
    request_id = json.loads(body)["request_id"]

    async def logged() -> bool:
        lines = [json.loads(line) for line in world.panless.log.splitlines() if request_id in line]
        return [(line["code"], line["status"]) for line in lines] == [(code, 400)]

    await until(logged)


async def test_body_that_never_ends_is_timed_out(world):
    request = b"POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    answer = await _raw(world.inbound, request)
    assert b"body_timeout" in answer
    assert world.app.received == []


# Tokens


async def _refused(world, card, status, code, key=None):
    async with world.charge(card, headers={"Panless-Key": key or world.key, "X-Request-Id": "refused"}) as answer:
        await _problem(answer, status, code)
    assert world.gateway.received == []
    event = (await world.panless.events("--request-id", "refused"))[-1]
    assert (event["outcome"], event["code"]) == ("denied", code)


async def test_raw_card_number_from_an_app_is_refused(world):
    await _refused(world, {"number": "4242424242424242"}, 422, "token_malformed")


async def test_unknown_token(world):
    await _refused(world, {"number": "tok_01m820xwhsfc9b29jmr46tbkb7"}, 404, "token_unknown")


async def test_token_of_another_tenant(world):
    card = await world.tokens(path="/other/checkout")
    await _refused(world, {"number": card["number"]}, 403, "token_other_tenant")
    async with world.charge({"number": card["number"]}, headers={"Panless-Key": world.foreign_key}) as answer:
        assert answer.status == 200


async def test_cvc_lease_of_another_tenant_is_not_found_through_the_card(world):
    card = await world.tokens(path="/other/checkout")
    await _refused(world, {"number": card["number"], "cvc": "000"}, 403, "token_other_tenant")


async def test_token_of_the_wrong_kind(world):
    card = await world.tokens()
    await _refused(world, {"number": card["cvc"]}, 422, "token_wrong_kind")
    await _refused(world, {"number": card["number"], "cvc": card["number"]}, 422, "token_wrong_kind")
    disguised = "cvc_" + card["number"].removeprefix("tok_")
    await _refused(world, {"number": card["number"], "cvc": disguised}, 422, "token_wrong_kind")


async def test_raw_cvc_from_an_app_is_never_taken_for_a_code(world):
    card = await world.tokens("4111111111111111", None)
    await _refused(world, {"number": card["number"], "cvc": "123"}, 410, "cvc_gone")


# Applications


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Panless-Key": "plk_" + "a" * 58},
        {"Panless-Key": "sk_live_something"},
        {"Authorization": "Bearer sk_live_something"},
        {"Authorization": "Basic !!!"},
    ],
)
async def test_unknown_app_key(world, headers):
    async with world.client.post(f"{world.outbound}/gateway/x", json={}, headers=headers) as answer:
        await _problem(answer, 401, "app_unknown")
    assert world.gateway.received == []


async def test_revoked_app_key(world):
    from tests.harness.process import panless

    key = await world.panless.add_app("leaver")
    done = await panless("app", "revoke", "leaver", "-c", world.panless.config)
    assert done.code == 0
    async with world.client.post(f"{world.outbound}/gateway/x", json={}, headers={"Panless-Key": key}) as answer:
        await _problem(answer, 401, "app_key_revoked")
    assert world.gateway.received == []
    assert (await world.panless.events("--app", "leaver"))[-1]["code"] == "app_key_revoked"


async def test_app_on_a_route_that_it_may_not_use(world):
    key = await world.panless.add_app("stranger")
    async with world.client.post(f"{world.outbound}/gateway/x", json={}, headers={"Panless-Key": key}) as answer:
        await _problem(answer, 403, "not_permitted")
    assert world.gateway.received == []
    event = (await world.panless.events("--app", "stranger"))[-1]
    assert (event["action"], event["outcome"], event["code"]) == ("reveal", "denied", "not_permitted")


# Upstreams


async def test_upstream_that_closes_the_connection(world):
    card = await world.tokens()
    world.gateway.answer = Answer(raw=b"")
    async with world.charge(card) as answer:
        await _problem(answer, 502, "upstream_disconnected")


@pytest.mark.parametrize("raw", [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4242424242424242x\r\n\r\n"])
async def test_upstream_that_answers_garbage(world, raw):
    card = await world.tokens()
    world.gateway.answer = Answer(raw=raw)
    async with world.charge(card) as answer:
        await _problem(answer, 502, "upstream_answer_invalid")


async def test_answer_that_breaks_off_is_withheld_when_values_were_revealed(world):
    card = await world.tokens()
    world.gateway.answer = Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    async with world.charge(card) as answer:
        await _problem(answer, 502, "upstream_answer_invalid")


async def test_streamed_answer_that_breaks_off_is_not_made_to_look_whole(world):
    world.app.answer = Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    answer = await _raw(world.inbound, b"GET /upload/x HTTP/1.1\r\nHost: x\r\n\r\n")
    # It broke off before or after the first of it was passed on; either way the client can tell.
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 502"))
    assert b"\r\n0\r\n\r\n" not in answer


async def test_required_field_that_is_missing(tmp_path):
    import aiohttp

    from tests.harness import configuration
    from tests.harness.process import serving
    from tests.harness.upstream import recording

    async with recording() as app, recording() as gateway:
        config = configuration.write(tmp_path, app.url, gateway.url)
        config.write_text(config.read_text().replace('kind = "pan" }', 'kind = "pan", required = true }'))
        async with serving(config) as running, aiohttp.ClientSession() as client:
            key = await running.add_app("shop")
            inbound, outbound = running.urls["inbound"], running.urls["outbound"]
            for body in ({"number": "4242424242424242"}, {"card": {"number": None}}, {}):
                async with client.post(f"{inbound}/checkout", json=body) as answer:
                    await _problem(answer, 422, "field_missing")
            async with client.post(f"{inbound}/checkout") as answer:
                await _problem(answer, 422, "field_missing")
            async with client.post(f"{outbound}/gateway/x", json={}, headers={"Panless-Key": key}) as answer:
                await _problem(answer, 422, "field_missing")
            assert app.received == gateway.received == []
            async with client.post(f"{inbound}/checkout", json={"card": {"number": "4242424242424242"}}) as answer:
                assert answer.status == 200
        assert '"values": 1' in running.log


async def test_lookalike_of_a_route_with_fields_is_named(tmp_path):
    import aiohttp

    from tests.harness import configuration
    from tests.harness.process import panless, serving
    from tests.harness.upstream import recording

    async with recording() as app, recording() as gateway:
        catch_all = f'[[inbound]]\nname = "pages"\npath = "/"\nupstream = "{app.url}"\n'
        config = configuration.write(tmp_path, app.url, gateway.url, extra=catch_all)
        async with serving(config) as running, aiohttp.ClientSession() as client:
            async with client.post(f"{running.urls['inbound']}/Checkout", json={}) as answer:
                assert "checkout" in (await _problem(answer, 400, "target_ambiguous"))["title"]
            assert app.received == []
            # An address that is taken is said to be so.
            taken = running.urls["inbound"].removeprefix("http://")
            other = configuration.write(tmp_path / "other", app.url, gateway.url)
            other.write_text(other.read_text().replace("127.0.0.1:0", taken, 1))
            done = await panless("serve", "-c", other)
            assert done.code == 1
            assert f"cannot bind {taken}: address already in use" in done.err
