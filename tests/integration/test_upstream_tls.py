"""TLS towards upstreams is verified; plain http goes to loopback only, or where the route says so (promise 3)."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import ssl

import aiohttp
import pytest
import trustme

from tests.harness import configuration
from tests.harness.process import panless, serving
from tests.harness.upstream import Answer, recording


def _server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
async def tls_world(tmp_path_factory, authority):
    """Panless before five TLS gateways: a good one, and four that must not get a card."""
    folder = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    client_certificate = authority.issue_cert("panless")
    client_certificate.cert_chain_pems[0].write_to_path(folder / "client.pem")
    client_certificate.private_key_pem.write_to_path(folder / "client.key")
    asking = _server(authority.issue_cert("127.0.0.1"))
    asking.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(asking)
    async with (
        recording() as app,
        recording(_server(authority.issue_cert("127.0.0.1"))) as good,
        recording(_server(trustme.CA().issue_cert("127.0.0.1"))) as stranger,
        recording(_server(authority.issue_cert("gateway.example"))) as misnamed,
        recording(_server(authority.issue_cert("127.0.0.1", not_after=yesterday))) as expired,
        recording(asking) as mutual,
    ):
        gateways = {"good": good, "stranger": stranger, "misnamed": misnamed, "expired": expired, "mutual": mutual}
        extra = "\n".join(_route(name, gateway.url) for name, gateway in gateways.items())
        config = configuration.write(folder, app.url, good.url, extra=extra)
        async with serving(config) as running, aiohttp.ClientSession() as client:
            key = await running.add_app("shop")
            yield running, client, key, app, gateways


def _route(name: str, url: str) -> str:
    client = 'client_cert = "client.pem"\nclient_key = "client.key"' if name == "mutual" else ""
    return f"""
[[outbound]]
name = "{name}"
path = "/{name}/"
upstream = "{url}/"
ca = "ca.pem"
{client}
apps = ["shop"]
fields = {configuration.CARD_FIELDS}
"""


async def _charge(tls_world, name):
    running, client, key, app, _gateways = tls_world
    body = {"card": {"number": "4242424242424242"}}
    async with client.post(f"{running.urls['inbound']}/checkout", json=body) as answer:
        assert answer.status == 200
    async with client.post(
        f"{running.urls['outbound']}/{name}/x", json=app.last.json(), headers={"Panless-Key": key}
    ) as answer:
        return answer.status, answer.headers.get("Panless-Error")


@pytest.mark.parametrize("name", ["good", "mutual"])
async def test_verified_gateway_gets_the_card(tls_world, name):
    assert await _charge(tls_world, name) == (200, None)
    assert tls_world[4][name].last.json()["card"]["number"] == "4242424242424242"


@pytest.mark.parametrize("name", ["stranger", "misnamed", "expired"])
async def test_gateway_with_a_bad_certificate_gets_nothing(tls_world, name):
    assert await _charge(tls_world, name) == (502, "upstream_certificate_invalid")
    assert tls_world[4][name].received == []


async def test_system_trust_does_not_know_the_test_authority(tls_world):
    # Route `gateway` of the common configuration names no `ca`.
    assert await _charge(tls_world, "gateway") == (502, "upstream_certificate_invalid")


async def test_redirects_are_not_followed(tls_world):
    running, client, key, _app, gateways = tls_world
    stolen = gateways["stranger"].url + "/stolen"
    gateways["good"].answer = Answer(307, b"", [("Location", stolen)])
    try:
        async with client.post(
            f"{running.urls['outbound']}/good/x", json={}, headers={"Panless-Key": key}, allow_redirects=False
        ) as answer:
            assert answer.status == 307
            assert answer.headers["Location"] == stolen
    finally:
        gateways["good"].answer = Answer()


async def test_upstream_that_is_down(tmp_path):
    async with recording() as app, recording() as gateway:
        config = configuration.write(tmp_path, app.url, "http://127.0.0.1:1")
        async with serving(config) as running, aiohttp.ClientSession() as client:
            key = await running.add_app("shop")
            async with client.post(
                f"{running.urls['outbound']}/gateway/x", json={}, headers={"Panless-Key": key}
            ) as answer:
                assert (answer.status, answer.headers["Panless-Error"]) == (502, "upstream_unreachable")
        assert gateway.received == []


async def test_upstream_that_is_slow(tmp_path):
    async with recording() as app, recording() as gateway:
        gateway.answer = Answer(delay=5)
        config = configuration.write(tmp_path, app.url, gateway.url)
        text = config.read_text().replace("apps       =", "timeouts   = { first_byte = 0.2 }\napps       =")
        config.write_text(text)
        async with serving(config) as running, aiohttp.ClientSession() as client:
            key = await running.add_app("shop")
            body = {"card": {"number": "4242424242424242", "cvc": "123"}}
            async with client.post(f"{running.urls['inbound']}/checkout", json=body) as answer:
                assert answer.status == 200
            for _ in range(2):
                async with client.post(
                    f"{running.urls['outbound']}/gateway/x", json=app.last.json(), headers={"Panless-Key": key}
                ) as answer:
                    # The verification code is still there the second time: the answer was not definite.
                    assert (answer.status, answer.headers["Panless-Error"]) == (504, "upstream_first_byte_timeout")


async def test_plain_http_beyond_loopback_has_to_be_said(tmp_path):
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://gateway.example")
    refused = await panless("check", "-c", config)
    assert refused.code == 2
    assert "plain http" in refused.err
    config.write_text(config.read_text().replace("apps       =", "plain_http = true\napps       ="))
    assert (await panless("check", "-c", config)).code == 0


def _fingerprint(server_url: str) -> str:
    port = int(server_url.rpartition(":")[2])
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


async def test_a_reveal_is_recorded_with_the_certificate_that_the_gateway_shows(tls_world):
    running, _client, _key, _app, gateways = tls_world
    before = len(await running.events("--route", "good"))
    await _charge(tls_world, "good")
    after = (await running.events("--route", "good"))[before:]
    assert [each["action"] for each in after] == ["reveal"]
    certificate = await asyncio.to_thread(_fingerprint, gateways["good"].url)
    assert after[0]["certificate"] == certificate
    assert after[0]["destination"] == gateways["good"].url.removeprefix("https://")


async def test_a_gateway_that_is_not_who_it_should_be_costs_no_reveal(tls_world):
    running = tls_world[0]
    for name in ("stranger", "misnamed", "expired"):
        await _charge(tls_world, name)
        assert [each for each in await running.events("--route", name) if each["outcome"] == "permitted"] == []


async def test_another_certificate_than_was_recorded_has_an_event_of_its_own(tmp_path, authority):
    """The gateway changes its certificate while Panless keeps running; the first connection is still open or not."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    first, second = authority.issue_cert("127.0.0.1"), authority.issue_cert("127.0.0.1")
    context = _server(first)
    async with recording() as app, recording(context) as gateway:
        gateway.answer = Answer(headers=[("Content-Type", "application/json"), ("Connection", "close")])
        config = configuration.write(tmp_path, app.url, gateway.url, extra=_route("changing", gateway.url))
        async with serving(config) as running, aiohttp.ClientSession() as client:
            key = await running.add_app("shop")
            parts = running, client, key, app, {"changing": gateway}
            await _charge(parts, "changing")
            second.configure_cert(context)
            await _charge(parts, "changing")
            await _charge(parts, "changing")
            events = [each for each in await running.events("--route", "changing") if "certificate" in each]
    old, new = events[0]["certificate"], events[-1]["certificate"]
    assert old != new
    told = [(each["action"], each["certificate"]) for each in events]
    # The second reveal was recorded with what was known; what it met was recorded before anything was sent.
    assert told == [("reveal", old), ("reveal", old), ("upstream.certificate", new), ("reveal", new)]
    assert events[1]["request_id"] == events[2]["request_id"]
