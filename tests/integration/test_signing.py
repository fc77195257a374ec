"""Signed requests through a real Panless: verified as they came, signed anew as the gateway gets them."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.harness import configuration, signers
from tests.harness.forward import LISTEN
from tests.harness.process import panless, serving
from tests.harness.upstream import recording
from tests.harness.world import World

PAN = "4242424242424242"
SECRETS = 'app_secret = "file:app.secret", secret = "file:gateway.secret"'
SCHEMES = {
    "cavage": '{ scheme = "cavage", key_id = "gateway-key", %s }',
    "rfc9421": '{ scheme = "rfc9421", key_id = "gateway-key", %s }',
    "jwt": '{ scheme = "jwt", claim = "digest", key_id = "gateway-key", %s }',
    "hmac": '{ scheme = "hmac", header = "X-Signature", prefix = "v1=", timestamp = "X-Time", key_header = "X-Key", '
    'key_id = "gateway-key", parts = ["method", "text:\\n", "target", "text:\\n", "header:X-Time", "text:\\n", "body"],'
    " %s }",
    "plain-jwt": '{ scheme = "jwt", claim = "digest", %s }',
    "plain": '{ scheme = "cavage", cover_body = false, %s }',
    "streams": '{ scheme = "cavage", %s }',
}


def _route(name: str, signing: str, url: str) -> str:
    fields = "" if name == "streams" else f"fields = {configuration.CARD_FIELDS}\n"
    return (
        f'[[outbound]]\nname = "{name}"\npath = "/{name}/"\nupstream = "{url}/v1/"\napps = ["shop"]\n'
        f'hosts = ["{name}.gateway.example"]\n'
        f"{fields}signing = {signing % SECRETS}\n"
    )


@pytest.fixture(scope="module")
async def signing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("signing")
    (folder / "app.secret").write_bytes(signers.APP)
    (folder / "gateway.secret").write_bytes(signers.GATEWAY)
    async with recording() as app, recording() as gateway:
        routes = "\n".join(_route(name, each, gateway.url) for name, each in SCHEMES.items())
        config = configuration.write(folder, app.url, gateway.url, head=LISTEN, extra=routes)
        async with serving(config) as panless, aiohttp.ClientSession() as client:
            key = await panless.add_app("shop")
            foreign_key = await panless.add_app("foreign", tenant="other")
            yield World(panless, app, gateway, client, key, foreign_key)


@pytest.fixture
def world(signing: World) -> World:
    signing.app.reset()
    signing.gateway.reset()
    return signing


def host(world: World) -> str:
    return world.outbound.removeprefix("http://")


def signed(world: World, name: str, body: bytes, target: str, *, key_id: str = "", at: int = 0) -> dict[str, str]:
    """Return the headers of a request that the application signs; its key id is its Panless key."""
    at, key_id = at or int(time.time()), key_id or world.key
    common = {"body": body, "target": target}
    if name == "cavage":
        return dict(signers.cavage(created=at, host=host(world), key_id=key_id, **common))
    if name == "rfc9421":
        parameters = f';created={at};keyid="{key_id}";nonce="n"'
        return dict(signers.rfc9421(host=host(world), parameters=parameters, **common))
    if name == "jwt":
        claims = f'{{"iat": {at}, "n": 1.10, "digest": "{hashlib.sha256(body).hexdigest()}"}}'
        return dict(signers.jwt(header=f'{{"alg": "HS256", "kid": "{key_id}"}}', claims=claims))
    return dict(signers.parts(time=at, **common)) | {"X-Key": key_id}


def post(world: World, name: str, body: bytes, headers: dict[str, str], path: str = "charges?a=1"):
    headers = {"Content-Type": "application/json"} | headers
    return world.client.post(f"{world.outbound}/{name}/{path}", data=body, headers=headers)


async def body_with_tokens(world: World) -> bytes:
    return json.dumps({"card": await world.tokens(PAN, "737")}).encode()


def check_at_the_gateway(world: World, name: str) -> None:
    """Verify what the gateway got as the gateway would: with its own secret, by hand."""
    got = world.gateway.last
    key, body, target = signers.GATEWAY, got.body, "/v1/charges?a=1"
    assert got.target == target and got.header("Host") == f"127.0.0.1:{world.gateway.port}"
    if name == "cavage":
        assert got.header("Digest") == signers.rfc3230(body)
        created = got.header("Signature").partition("created=")[2].partition(",")[0]
        expected = signers.cavage(
            key, created=int(created), body=body, target=target, host=got.header("Host"), key_id="gateway-key"
        )
        assert got.header("Signature") == dict(expected)["Signature"]
    elif name == "rfc9421":
        assert got.header("Content-Digest") == signers.rfc9530(body)
        parameters = got.header("Signature-Input").partition(")")[2]
        assert ';keyid="gateway-key";nonce="n"' in parameters
        expected = signers.rfc9421(key, parameters=parameters, body=body, target=target, host=got.header("Host"))
        assert got.header("Signature") == dict(expected)["Signature"]
    elif name == "jwt":
        header, payload = signers.decoded(got.header("Authorization"))
        assert header == b'{"alg": "HS256", "kid": "gateway-key"}'
        assert payload.endswith(b', "n": 1.10, "digest": "%s"}' % hashlib.sha256(body).hexdigest().encode())
        assert got.header("Authorization") == f"Bearer {signers.jws(key, header.decode(), payload.decode())}"
    else:
        assert got.header("X-Key") == "gateway-key"
        data = f"POST\n{target}\n{got.header('X-Time')}\n".encode() + body
        assert got.header("X-Signature") == "v1=" + hmac.new(key, data, "sha256").hexdigest()


FOUR = ["cavage", "rfc9421", "jwt", "hmac"]


@pytest.mark.parametrize("name", FOUR)
async def test_tokens_are_swapped_and_the_request_signed_anew_for_an_app_known_by_its_key_id(world, name):
    body = await body_with_tokens(world)
    async with post(world, name, body, signed(world, name, body, f"/{name}/charges?a=1")) as answer:
        assert answer.status == 200, await answer.text()
    assert world.gateway.last.json() == {"card": {"number": PAN, "cvc": "737"}}
    assert world.key.encode() not in world.gateway.last.head
    check_at_the_gateway(world, name)


@pytest.mark.parametrize("name", FOUR)
async def test_app_may_also_use_the_panless_key_header(world, name):
    body = await body_with_tokens(world)
    headers = signed(world, name, body, f"/{name}/charges?a=1", key_id="merchant")
    async with post(world, name, body, headers | {"Panless-Key": world.key}) as answer:
        assert answer.status == 200, await answer.text()
    check_at_the_gateway(world, name)
    async with post(world, name, body, headers) as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (401, "app_unknown")


@pytest.mark.parametrize("name", FOUR)
async def test_packed_body_is_verified_as_it_came_and_signed_as_it_goes(world, name):
    packed = gzip.compress(await body_with_tokens(world))
    headers = signed(world, name, packed, f"/{name}/charges?a=1") | {"Content-Encoding": "gzip"}
    async with post(world, name, packed, headers) as answer:
        assert answer.status == 200, await answer.text()
    assert world.gateway.last.json()["card"]["number"] == PAN
    check_at_the_gateway(world, name)


async def refused(world: World, status: int, code: str, name: str, body: bytes, headers, path="charges?a=1") -> None:
    """Check that a request is refused, that the gateway got nothing, and that the log tells of a denial only."""
    request_id = str(uuid.uuid4())
    async with post(world, name, body, dict(headers) | {"X-Request-Id": request_id}, path) as answer:
        assert (answer.status, answer.headers.get("Panless-Error")) == (status, code), await answer.text()
    assert world.gateway.received == []
    events = await world.panless.events("--request-id", request_id)
    assert [(each["outcome"], each["code"]) for each in events] == [("denied", code)]


@pytest.mark.parametrize("name", FOUR)
async def test_wrong_old_and_missing_signatures_are_refused_before_any_reveal(world, name):
    body = await body_with_tokens(world)
    target = f"/{name}/charges?a=1"
    right = signed(world, name, body, target)
    (last,) = list(right)[-1:] if name != "hmac" else ["X-Signature"]
    flip = {"A": "B"}.get(right[last][-4], "A") if name != "hmac" else {"a": "b"}.get(right[last][-4], "a")
    wrong = right | {last: right[last][:-4] + flip + right[last][-3:]}
    await refused(world, 401, "signature_invalid", name, body, wrong | {"Panless-Key": world.key})
    old = signed(world, name, body, target, at=int(time.time()) - 400)
    await refused(world, 401, "signature_expired", name, body, old)
    await refused(world, 401, "signature_missing", name, body, {"Panless-Key": world.key})


@pytest.mark.parametrize("name", ["cavage", "rfc9421", "hmac"])
async def test_changed_path_is_refused(world, name):
    body = await body_with_tokens(world)
    headers = signed(world, name, body, f"/{name}/charges?a=1")
    await refused(world, 401, "signature_invalid", name, body, headers, path="refunds?a=1")


@pytest.mark.parametrize("name", FOUR)
async def test_changed_body_is_refused(world, name):
    body = await body_with_tokens(world)
    headers = signed(world, name, body, f"/{name}/charges?a=1")
    status, code = (401, "signature_invalid") if name == "hmac" else (400, "digest_mismatch")
    await refused(world, status, code, name, body + b" ", headers)


@pytest.mark.parametrize("name", FOUR)
async def test_signed_requests_through_the_forward_proxy(world, name):
    """There the application signs the gateway's own host and path, and https."""
    body = await body_with_tokens(world)
    done = await panless("ca", "export", "-c", world.panless.config)
    trusting = ssl.create_default_context(cadata=done.out)
    host, target, at = f"{name}.gateway.example", "/charges?a=1", int(time.time())
    headers = signed(world, name, body, target, at=at)
    if name == "cavage":
        headers = dict(signers.cavage(created=at, host=host, key_id="merchant", body=body, target=target))
    elif name == "rfc9421":
        names = ("@method", "@authority", "@scheme", "@target-uri", "content-digest")
        parameters = f';created={at};keyid="merchant"'
        headers = dict(
            signers.rfc9421(names=names, host=host, parameters=parameters, body=body, target=target, scheme="https")
        )
    async with world.client.post(
        f"https://{host}{target}",
        data=body,
        headers={"Content-Type": "application/json"} | headers,
        proxy=world.panless.urls["forward"],
        proxy_headers={"Proxy-Authorization": f"Bearer {world.key}"},
        ssl=trusting,
    ) as answer:
        assert answer.status == 200, await answer.text()
    got = world.gateway.last
    assert got.json()["card"]["number"] == PAN
    if name == "rfc9421":
        expected = signers.rfc9421(
            signers.GATEWAY,
            names,
            host=got.header("Host"),
            parameters=parameters.replace("merchant", "gateway-key"),
            body=got.body,
            target="/v1/charges?a=1",
        )
        assert got.header("Signature") == dict(expected)["Signature"]
    else:
        check_at_the_gateway(world, name)


async def test_signature_that_does_not_cover_the_body_is_refused_unless_allowed(world):
    body = await body_with_tokens(world)
    for name in ("cavage", "plain"):
        headers = dict(
            signers.cavage(
                names="(request-target) (created) host",
                created=int(time.time()),
                host=host(world),
                target=f"/{name}/charges?a=1",
                body=body,
            )
        )
        headers = headers | {"Panless-Key": world.key}
        if name == "cavage":
            await refused(world, 422, "signature_uncovered", name, body, headers)
            continue
        async with post(world, name, body, headers) as answer:
            assert answer.status == 200, await answer.text()
        # What stands for no body in the signature is still a digest: it is made anew.
        assert world.gateway.last.header("Digest") == signers.rfc3230(world.gateway.last.body)


async def test_key_of_panless_as_key_id_needs_one_for_the_gateway(world):
    body = await body_with_tokens(world)
    at = int(time.time())
    headers = signers.cavage(created=at, host=host(world), body=body, target="/plain/charges?a=1", key_id=world.key)
    await refused(world, 400, "key_misplaced", "plain", body, dict(headers))
    await refused(world, 400, "key_misplaced", "plain-jwt", body, signed(world, "jwt", body, ""))


async def test_covered_header_that_is_not_sent_on_is_refused(world):
    body = await body_with_tokens(world)
    headers = signers.cavage(
        names="(request-target) (created) host digest panless-key",
        created=int(time.time()),
        host=host(world),
        body=body,
        target="/cavage/charges?a=1",
        more=(("Panless-Key", world.key),),
    )
    await refused(world, 422, "signature_not_renewable", "cavage", body, dict(headers))


async def test_content_length_may_be_covered(world):
    body = await body_with_tokens(world)
    names = "(request-target) (created) host digest content-length"
    at = int(time.time())
    length = (("Content-Length", str(len(body))),)
    headers = dict(
        signers.cavage(
            names=names, created=at, host=host(world), body=body, target="/cavage/charges?a=1", more=length,
            key_id=world.key,
        )
    )  # fmt: skip
    async with post(world, "cavage", body, headers) as answer:
        assert answer.status == 200, await answer.text()
    got = world.gateway.last
    expected = signers.cavage(
        signers.GATEWAY, names, created=at, host=got.header("Host"), body=got.body, target="/v1/charges?a=1",
        more=(("Content-Length", str(len(got.body))),), key_id="gateway-key",
    )  # fmt: skip
    assert len(got.body) != len(body)
    assert got.header("Signature") == dict(expected)["Signature"]


async def test_request_without_a_body_needs_no_digest(world):
    headers = signers.cavage(
        names="(request-target) host", host=host(world), target="/cavage/charges?a=1", key_id=world.key
    )[1:]
    value = headers[0][1]
    get = signers.b64(signers.mac(signers.APP, f"(request-target): get /cavage/charges?a=1\nhost: {host(world)}"))
    headers = {"Signature": value.rpartition("signature=")[0] + f'signature="{get}"'}
    async with world.client.get(f"{world.outbound}/cavage/charges?a=1", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
    expected = signers.b64(
        signers.mac(signers.GATEWAY, f"(request-target): get /v1/charges?a=1\nhost: 127.0.0.1:{world.gateway.port}")
    )
    assert world.gateway.last.header("Signature").endswith(f'signature="{expected}"')


async def test_route_without_fields_signs_a_packed_body_as_it_is(world):
    packed = gzip.compress(b"anything" * 20_000, mtime=0)
    headers = dict(
        signers.cavage(
            created=int(time.time()), host=host(world), body=packed, target="/streams/charges?a=1", key_id="merchant"
        )
    )
    headers |= {"Content-Encoding": "gzip", "Panless-Key": world.key}
    async with post(world, "streams", packed, headers) as answer:
        assert answer.status == 200, await answer.text()
    got = world.gateway.last
    assert got.body == packed and got.header("Content-Encoding") == "gzip"
    assert got.header("Digest") == headers["Digest"] and got.header("Signature") != headers["Signature"]


async def test_signature_over_nothing_that_changes_stays_where_nothing_is_configured(world):
    body = await body_with_tokens(world)
    value = signers.jws(b"known to the gateway", '{"alg":"HS256"}', '{"iss":"shop"}')
    async with post(world, "gateway", body, {"X-JWS": value, "Panless-Key": world.key}) as answer:
        assert answer.status == 200
    assert world.gateway.last.header("X-JWS") == value
    assert world.gateway.last.json()["card"]["number"] == PAN


@pytest.mark.parametrize("packed", [False, True])
async def test_digests_without_a_signature_are_checked_and_made_anew(world, packed):
    body = await body_with_tokens(world)
    body = gzip.compress(body) if packed else body
    headers = {"Panless-Key": world.key} | ({"Content-Encoding": "gzip"} if packed else {})
    digests = {
        "Digest": signers.rfc3230(body, "SHA-512"),
        "Content-Digest": signers.rfc9530(body),
        "Content-MD5": signers.md5(body),
    }
    others = (signers.rfc3230(b"x", "SHA-512"), signers.rfc9530(b"x"), signers.md5(b"x"))
    for name, other in zip(digests, others, strict=True):
        wrong = digests | {name: other}
        await refused(world, 400, "digest_mismatch", "gateway", body, headers | wrong)
    await refused(world, 400, "digest_unsupported", "gateway", body, headers | {"Digest": "crc32c=AAAAAA=="})
    async with post(world, "gateway", body, headers | digests) as answer:
        assert answer.status == 200, await answer.text()
    got = world.gateway.last
    assert got.header("Digest") == signers.rfc3230(got.body, "SHA-512")
    assert got.header("Content-Digest") == signers.rfc9530(got.body)
    assert got.header("Content-MD5") == signers.md5(got.body)


async def test_digests_of_an_unchanged_body_are_the_gateways_to_check(world):
    headers = {"Panless-Key": world.key, "Digest": "crc32c=AAAAAA=="}
    async with post(world, "gateway", b'{"amount": 5}', headers) as answer:
        assert answer.status == 200
    assert world.gateway.last.header("Digest") == "crc32c=AAAAAA=="


async def test_digests_on_inbound_routes_are_checked_and_made_anew(world):
    body = json.dumps({"card": {"number": PAN, "cvc": "737"}}).encode()
    headers = {"Content-Type": "application/json", "Content-Digest": signers.rfc9530(body)}
    url = f"{world.inbound}/checkout"
    wrong = headers | {"X-Request-Id": "wrong-digest"}
    async with world.client.post(url, data=body + b" ", headers=wrong) as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (400, "digest_mismatch")
    assert world.app.received == []
    assert await world.panless.events("--request-id", "wrong-digest") == []
    async with world.client.post(url, data=body, headers=headers) as answer:
        assert answer.status == 200
    assert world.app.last.header("Content-Digest") == signers.rfc9530(world.app.last.body)
    assert PAN.encode() not in world.app.last.body
