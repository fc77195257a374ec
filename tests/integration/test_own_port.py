"""A port of a route's own: for SDKs that take a host but no path."""

from __future__ import annotations

import ssl

import aiohttp
import pytest
import trustme

from tests.harness import configuration
from tests.harness.configuration import CARD_FIELDS, GATEWAY_SECRET
from tests.harness.process import panless, serving
from tests.harness.upstream import recording

PAN = "4242424242424242"


def _route(name: str, upstream: str, more: str = "") -> str:
    return f"""
[[outbound]]
name       = "{name}"
bind       = "127.0.0.1:0"
upstream   = "{upstream}"
apps       = ["shop"]
credential = {{ secret = "file:gateway.key" }}
fields     = {CARD_FIELDS}
{more}
"""


@pytest.fixture(scope="module")
async def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ports")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "client-ca.pem")
    server = authority.issue_cert("127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    tls = 'tls = { cert = "server.pem", key = "server.pem", client_ca = "client-ca.pem" }'
    async with recording() as app, recording() as gateway:
        extra = _route("own", f"{gateway.url}/base/") + _route("both", gateway.url, 'path = "/both/"')
        extra += _route("secure", f"{gateway.url}/secure", tls)
        config = configuration.write(folder, app.url, gateway.url, extra=extra)
        async with serving(config) as running, aiohttp.ClientSession() as client:
            key = await running.add_app("shop")
            yield running, client, app, gateway, key, authority


async def test_the_ready_line_names_them_after_the_listeners(parts):
    running, *_ = parts
    assert list(running.urls) == ["inbound", "outbound", "admin", "own", "both", "secure"]
    assert running.urls["secure"].startswith("https://127.0.0.1:")
    assert len(set(running.urls.values())) == 6


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("/", "/base/"),
        ("/v1/payments", "/base/v1/payments"),
        ("/v1/payments/?a=b&c=%20", "/base/v1/payments/?a=b&c=%20"),
        ("/own/x", "/base/own/x"),
    ],
)
async def test_the_whole_path_is_appended_to_the_upstreams(parts, path, arrives):
    running, client, _, gateway, key, _ = parts
    async with client.get(running.urls["own"] + path, headers={"Panless-Key": key}) as answer:
        assert answer.status == 200
    assert gateway.last.target == arrives


async def test_cards_are_revealed_and_the_secret_is_put_in(parts):
    running, client, app, gateway, key, _ = parts
    async with client.post(running.urls["inbound"] + "/checkout", json={"card": {"number": PAN}}):
        card = app.last.json()["card"]
    headers = {"Authorization": f"Bearer {key}"}
    async with client.post(running.urls["own"] + "/charges", json={"card": card}, headers=headers) as answer:
        assert answer.status == 200
    assert gateway.last.json()["card"]["number"] == PAN
    assert gateway.last.header("Authorization") == f"Bearer {GATEWAY_SECRET}"


async def test_it_asks_for_a_key_and_checks_targets_like_the_outbound_listener(parts):
    running, client, _, gateway, key, _ = parts
    before = len(gateway.received)
    async with client.get(running.urls["own"] + "/x") as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (401, "app_unknown")
    from yarl import URL

    url = URL(running.urls["own"] + "/a/%2e%2e/b", encoded=True)
    async with client.get(url, headers={"Panless-Key": key}) as answer:
        assert answer.headers["Panless-Error"] == "target_invalid"
    assert len(gateway.received) == before


async def test_with_a_path_it_is_on_the_outbound_listener_too_and_without_it_is_not(parts):
    running, client, _, _, key, _ = parts
    headers = {"Panless-Key": key}
    async with client.get(running.urls["outbound"] + "/both/x", headers=headers) as answer:
        assert answer.status == 200
    async with client.get(running.urls["both"] + "/both/x", headers=headers) as answer:
        assert answer.status == 200
    for path in ("/own/x", "/x", "/"):
        async with client.get(running.urls["outbound"] + path, headers=headers) as answer:
            assert answer.headers["Panless-Error"] == "route_not_found"


async def test_other_routes_are_not_on_it(parts):
    running, client, _, gateway, key, _ = parts
    async with client.get(running.urls["own"] + "/gateway/x", headers={"Panless-Key": key}) as answer:
        assert answer.status == 200
    assert gateway.last.target == "/base/gateway/x"


async def test_it_can_have_tls_and_ask_for_client_certificates(parts):
    running, client, _, gateway, key, authority = parts
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with pytest.raises(aiohttp.ClientError):
        async with client.get(running.urls["secure"] + "/x", headers={"Panless-Key": key}, ssl=context):
            pass
    authority.issue_cert("shop.example").configure_cert(context)
    async with client.get(running.urls["secure"] + "/x", headers={"Panless-Key": key}, ssl=context) as answer:
        assert answer.status == 200
    assert gateway.last.target == "/secure/x"


async def test_a_port_that_is_taken_is_named_by_its_route(parts, tmp_path):
    running, *_ = parts
    taken = running.urls["own"].rpartition("/")[2]
    extra = _route("mine", "http://127.0.0.1:1").replace("127.0.0.1:0", taken)
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:1", extra=extra)
    done = await panless("serve", "-c", config)
    assert done.code == 1
    assert f"mine cannot bind {taken}" in done.err


async def test_check_shows_ports_and_hosts_and_looks_at_certificates(tmp_path):
    extra = _route("mine", "http://127.0.0.1:1", 'hosts = ["api.example"]')
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:1", extra=extra)
    done = await panless("check", "-c", config)
    assert done.code == 0, done.err
    assert "127.0.0.1:0" in done.out
    assert "api.example" in done.out
    assert "mine names `hosts`, but there is no forward listener" in done.err
    config.write_text(config.read_text() + 'tls = { cert = "none.pem", key = "none.pem" }\n')
    done = await panless("check", "-c", config)
    assert done.code == 2
    assert "outbound mine.tls" in done.err
