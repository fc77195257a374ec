"""The forward proxy: SDKs whose base URL cannot change reach their route, and nothing else is ever reached."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl

import aiohttp
import pytest
import requests

from proxy.edge import connection
from tests.harness.configuration import GATEWAY_SECRET
from tests.harness.forward import HOST, Client, ForwardWorld, forwarding, proxy_authorization
from tests.harness.process import panless

PAN = "4242424242424242"


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
async def shared(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forward")
    async with forwarding(folder, in_process=request.param == "asyncio") as world:
        yield world


@pytest.fixture
def world(shared) -> ForwardWorld:
    shared.app.reset()
    shared.gateway.reset()
    return shared


@pytest.fixture
async def client(world):
    connected = await Client.connect(world)
    yield connected
    connected.close()


async def _card(world, number: str = PAN, cvc: str | None = "737") -> dict:
    card = {"number": number} | ({"cvc": cvc} if cvc else {})
    async with aiohttp.ClientSession() as session:
        url = world.urls["inbound"] + "/checkout"
        async with session.post(url, json={"card": card}) as answer:
            assert answer.status == 200
    return world.app.last.json()["card"]


def _request(path: str = "/v1/payments", host: str = HOST, *lines: str, body: bytes = b"") -> bytes:
    method = "POST" if body else "GET"
    more = [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, *more, "", ""]).encode() + body


async def test_a_client_with_a_proxy_setting_only_reaches_the_gateway_with_the_true_card(world):
    card = await _card(world)
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.post(
                f"https://{HOST}/v1/payments?a=1",
                json={"card": {"number": card["number"]}},
                proxy=world.urls["forward"],
                proxy_headers={"Proxy-Authorization": f"Bearer {world.key}"},
                ssl=world.trusting("h2", "http/1.1"),
            ) as answer:
                assert answer.status == 200
    received = world.gateway.last
    assert received.target == "/base/v1/payments?a=1"
    assert received.json()["card"] == {"number": PAN}
    assert received.header("Authorization") == f"Bearer {GATEWAY_SECRET}"
    assert received.header("Proxy-Authorization") is None
    assert world.key.encode() not in received.head
    assert len(world.gateway.received) == 2


async def test_requests_works_with_a_proxy_and_a_bundle(world):
    proxy = world.urls["forward"].replace("//", f"//{world.key}:@")

    def charge() -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            session.proxies, session.verify = {"https": proxy}, str(world.ca_file)
            return session.post(f"https://{HOST}/v1/x", json={"a": 1}, auth=("sdk-dummy", ""), timeout=20)

    answer = await asyncio.to_thread(charge)
    assert answer.status_code == 200
    assert world.gateway.last.target == "/base/v1/x"
    secret = base64.b64encode(f"{GATEWAY_SECRET}:".encode()).decode()
    assert world.gateway.last.header("Authorization") == f"Basic {secret}"


@pytest.mark.parametrize("form", ["bearer", "user", "password"])
async def test_the_key_of_the_tunnel_identifies_every_request_in_it(world, client, form):
    basic = {"user": f"{world.key}:", "password": f"anybody:{world.key}"}.get(form, "")
    value = f"Bearer {world.key}" if form == "bearer" else f"Basic {base64.b64encode(basic.encode()).decode()}"
    assert (await client.tunnel(f"{HOST}:443", f"Proxy-Authorization: {value}")).status == 200
    await client.tls(world.trusting())
    for number in range(3):
        assert (await client.say(_request(f"/{number}", HOST, "Authorization: Bearer sdk-dummy"))).status == 200
    assert [each.target for each in world.gateway.received] == ["/base/0", "/base/1", "/base/2"]


async def test_without_a_key_the_requests_identify_themselves(world, client):
    assert (await client.tunnel()).status == 200
    await client.tls(world.trusting())
    answer = await client.say(_request())
    assert (answer.status, answer.headers["panless-error"]) == (401, "app_unknown")
    assert (await client.say(_request("/a", HOST, f"Panless-Key: {world.key}"))).status == 200
    assert (await client.say(_request("/b", HOST, f"Authorization: Bearer {world.key}"))).status == 200
    assert [each.target for each in world.gateway.received] == ["/base/a", "/base/b"]
    assert world.key.encode() not in world.gateway.last.head


async def test_panless_key_counts_before_the_key_of_the_tunnel(world, client):
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.other_key))).status == 200
    await client.tls(world.trusting())
    answer = await client.say(_request())
    assert (answer.status, answer.headers["panless-error"]) == (403, "not_permitted")
    assert (await client.say(_request("/a", HOST, f"Panless-Key: {world.key}"))).status == 200


async def test_the_key_of_the_tunnel_counts_before_the_slots(world, client):
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await client.tls(world.trusting())
    answer = await client.say(_request("/a", HOST, f"Authorization: Bearer {world.other_key}"))
    assert answer.status == 200
    assert world.other_key.encode() not in world.gateway.last.head


async def test_a_revoked_key_stops_working_inside_an_open_tunnel(world, client):
    done = await panless("app", "add", "passing", "--json", "-c", world.config)
    key = json.loads(done.out)["key"]
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(key))).status == 200
    await client.tls(world.trusting())
    assert (await client.say(_request())).headers["panless-error"] == "not_permitted"
    assert (await panless("app", "revoke", "passing", "-c", world.config)).code == 0
    assert (await client.say(_request())).headers["panless-error"] == "app_key_revoked"
    client.close()
    again = await Client.connect(world)
    answer = await again.tunnel(f"{HOST}:443", proxy_authorization(key))
    assert (answer.status, answer.headers["panless-error"]) == (407, "app_key_revoked")
    again.close()


@pytest.mark.parametrize(
    "lines",
    [
        ["Proxy-Authorization: Bearer plk_wrong"],
        ["Proxy-Authorization: Basic !!"],
        ["Proxy-Authorization: Digest x"],
        ["Proxy-Authorization:"],
        ["Proxy-Authorization: Bearer {key}", "Proxy-Authorization: Bearer {key}"],
    ],
)
async def test_a_wrong_key_is_challenged_recorded_and_can_be_followed_by_the_right_one(world, client, lines):
    answer = await client.tunnel(f"{HOST}:443", *(line.format(key=world.key) for line in lines))
    assert answer.status == 407
    assert answer.headers["proxy-authenticate"] == 'Basic realm="panless"'
    assert answer.headers["connection"] == "keep-alive"
    assert "www-authenticate" not in answer.headers
    document = json.loads(answer.body)
    assert document["code"] == "app_unknown"
    events = await panless("audit", "list", "--json", "--request-id", document["request_id"], "-c", world.config)
    (event,) = map(json.loads, events.out.splitlines())
    assert (event["action"], event["outcome"], event["route"]) == ("authenticate", "denied", "hosted")
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await client.tls(world.trusting())
    assert (await client.say(_request())).status == 200


@pytest.mark.parametrize(
    "to",
    [
        "gateway.example:443",
        f"{HOST}:80",
        f"{HOST}:8080",
        f"sub.{HOST}:443",
        "127.0.0.1:443",
        "localhost:8443",
        "[::1]:443",
        "{gateway}",
        "{inbound}",
    ],
)
async def test_connect_to_what_no_route_names_is_refused_and_connects_nowhere(world, client, to):
    inbound = world.urls["inbound"].rpartition("/")[2]
    to = to.format(gateway=f"127.0.0.1:{world.gateway.port}", inbound=inbound)
    for _ in range(2):  # and the connection stays
        answer = await client.tunnel(to, proxy_authorization(world.key))
        assert (answer.status, answer.headers["panless-error"]) == (403, "connect_host_unknown")
        assert json.loads(answer.body)["code"] == "connect_host_unknown"
    assert world.gateway.received == []
    assert (await client.tunnel()).status == 200


@pytest.mark.parametrize("to", [HOST.upper() + ":443", f"{HOST}:8443", "127.0.0.1:8443", "[0:0::1]:8443"])
async def test_hosts_are_compared_as_what_they_are(world, client, to):
    assert (await client.tunnel(to, proxy_authorization(world.key))).status == 200
    name = to.rpartition(":")[0].strip("[]").replace("0:0::1", "::1").lower()
    await client.tls(world.trusting(), name)
    host = to.lower().removesuffix(":443")
    assert (await client.say(_request("/a", host))).status == 200


@pytest.mark.parametrize(
    "head",
    [
        f"GET http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
        f"POST https://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2\r\n\r\n{{}}",
        f"connect {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
        "OPTIONS * HTTP/1.0\r\n\r\n",
    ],
)
async def test_other_methods_are_told_to_use_connect(world, client, head):
    answer = await client.say(head)
    if "\r\n\r\n{" in head:
        assert answer.headers["panless-error"] == "connect_malformed"
    else:
        assert (answer.status, answer.headers["panless-error"], answer.headers["allow"]) == (
            405,
            "connect_required",
            "CONNECT",
        )
    assert await client.rest() == b""
    assert world.gateway.received == []


async def test_http_1_0_is_taken_and_closed_after_a_refusal(world, client):
    assert (await client.say(f"CONNECT {HOST}:443 HTTP/1.0\r\n\r\n")).status == 200
    await client.tls(world.trusting())
    assert (await client.say(_request("/a", HOST, f"Panless-Key: {world.key}"))).status == 200
    other = await Client.connect(world)
    assert (await other.say("CONNECT nowhere.example:443 HTTP/1.0\r\n\r\n")).status == 403
    assert await other.rest() == b""
    other.close()


async def test_bytes_after_the_head_are_refused(world, client):
    answer = await client.say(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n\x16\x03\x01")
    assert (answer.status, answer.headers["panless-error"]) == (400, "connect_malformed")
    assert await client.rest() == b""


async def test_bytes_before_our_answer_are_refused(world, client):
    """The key takes a look-up in the database; what is sent meanwhile was not meant for a tunnel that is open."""
    head = f"CONNECT {HOST}:443 HTTP/1.1\r\n{proxy_authorization(world.key)}\r\n\r\n".encode()
    client.writer.write(head)
    await client.writer.drain()
    client.writer.write(b"\x16\x03\x01")
    answer = await client.answer()
    if answer.status == 200:  # it was faster than the second piece; then it is a handshake that fails
        client.writer.write_eof()
        assert await client.rest() == b""
    else:
        assert answer.headers["panless-error"] == "connect_malformed"


async def test_a_long_head_is_refused(world, client):
    answer = await client.say(f"CONNECT {HOST}:443 HTTP/1.1\r\nX: {'a' * 17000}")
    assert (answer.status, answer.headers["panless-error"]) == (431, "head_too_large")
    assert await client.rest() == b""


@pytest.fixture
def hurried(monkeypatch):
    """The one that runs in this process waits less long."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 1)
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 1)


async def test_a_head_that_does_not_come_is_refused_and_so_is_a_handshake(hurried, world, client):
    client.writer.write(f"CONNECT {HOST}:443 HT".encode())
    silent, shaking = await Client.connect(world), await Client.connect(world)
    assert (await shaking.tunnel()).status == 200
    answer = await client.answer()
    assert (answer.status, answer.headers["panless-error"]) == (408, "head_timeout")
    assert await client.rest() == b""
    assert await silent.rest() == b""
    assert await shaking.rest() == b""
    silent.close()
    shaking.close()


async def test_plain_text_in_the_tunnel_is_closed_and_not_logged(world, client):
    assert (await client.tunnel()).status == 200
    client.writer.write(_request("/CANARY-4242424242424242"))
    assert not (await client.rest()).startswith(b"HTTP")
    assert world.gateway.received == []
    if world.process is not None:
        assert "tunnel_handshake_failed" in world.process.log
        assert "CANARY" not in world.process.log
        assert "Traceback" not in world.process.log


@pytest.mark.parametrize("name", ["other.example", "gateway.example", f"sub.{HOST}"])
async def test_another_name_in_the_handshake_is_refused(world, client, name):
    assert (await client.tunnel()).status == 200
    context = world.trusting()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError)):  # event loops drop the connection before they send the alert
        await client.tls(context, name)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the hook of serve is not pytest's
@pytest.mark.parametrize("name", [b"CANARY4242\xff\xfe", b"a" * 200 + b"CANARY4242", b"CANARY4242\x00b"])
async def test_a_name_that_is_none_closes_the_connection_and_is_not_logged(world, client, name):
    assert (await client.tunnel()).status == 200
    client.writer.write(_client_hello(name))
    assert (await client.rest())[:1] in (b"", b"\x15")  # nothing, or an alert
    assert (await _alive(world)) == 200
    if world.process is not None:
        assert "CANARY" not in world.process.log
        assert "Exception ignored" not in world.process.log


def _client_hello(name: bytes) -> bytes:
    """Return a ClientHello whose SNI is any bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    placeholder = "x" * 60 if len(name) < 60 else ("x" * 60 + ".") * 4
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=placeholder.strip(".")[:253])
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    old = placeholder.strip(".").encode()
    return outgoing.read().replace(old, name.ljust(len(old), b"a")[: len(old)])


async def _alive(world) -> int:
    client = await Client.connect(world)
    answer = await client.tunnel()
    client.close()
    return answer.status


async def test_without_a_name_the_certificate_is_that_of_the_connect_host(world, client):
    assert (await client.tunnel("127.0.0.1:8443")).status == 200
    await client.tls(world.trusting("http/1.1"), "127.0.0.1")  # a client sends no SNI for an address
    tls = client.writer.get_extra_info("ssl_object")
    assert ("IP Address", "127.0.0.1") in tls.getpeercert()["subjectAltName"]
    assert tls.selected_alpn_protocol() == "http/1.1"


async def test_old_tls_is_refused(world, client):
    assert (await client.tunnel()).status == 200
    context = world.trusting()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await client.tls(context)


@pytest.mark.parametrize("host", ["other.example", f"{HOST}:8443", "127.0.0.1", "", "a b", f"{HOST}\r\nHost: {HOST}"])
async def test_another_host_inside_the_tunnel_is_refused_and_the_connection_closed(world, client, host):
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await client.tls(world.trusting())
    answer = await client.say(_request("/a", host))
    assert (answer.status, answer.headers["panless-error"]) in ((421, "host_mismatch"), (400, "request_malformed"))
    assert await client.rest() == b""
    assert world.gateway.received == []


async def test_the_port_in_host_may_be_spelled_out(world, client):
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await client.tls(world.trusting())
    assert (await client.say(_request("/a", f"{HOST}:443"))).status == 200


@pytest.mark.parametrize("path", ["/a/../b", "/%2e%2e/b", f"https://{HOST}/a", "*"])
async def test_targets_inside_the_tunnel_are_checked_as_everywhere(world, client, path):
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await client.tls(world.trusting())
    assert (await client.say(_request(path))).headers["panless-error"] in ("target_invalid", "request_malformed")
    assert world.gateway.received == []


async def test_a_tunnel_inside_a_tunnel_is_refused(world, client):
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await client.tls(world.trusting())
    answer = await client.say(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n")
    assert answer.status >= 400
    assert world.gateway.received == []


async def test_each_tunnel_belongs_to_its_own_route(world, client):
    assert (await client.tunnel("other.example:443", proxy_authorization(world.other_key))).status == 200
    await client.tls(world.trusting(), "other.example")
    answer = await client.say(_request("/a", "other.example"))
    assert answer.headers["panless-error"] == "method_not_allowed"
    assert (await client.say(_request("/a", "other.example", body=b"{}"))).status == 200
    assert world.gateway.last.target == "/elsewhere/a"


async def test_a_route_without_a_path_is_not_on_the_outbound_listener(world):
    async with (
        aiohttp.ClientSession() as session,
        session.get(world.urls["outbound"] + "/", headers={"Panless-Key": world.key}) as answer,
    ):
        assert answer.headers["Panless-Error"] == "route_not_found"


async def test_a_request_in_the_same_packet_as_the_end_of_the_handshake_arrives(world, client):
    """It may be decrypted before the HTTP server has taken over."""
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = world.trusting().wrap_bio(incoming, outgoing, server_hostname=HOST)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            client.writer.write(outgoing.read())
            incoming.write(await client.reader.read(65536))
    tls.write(_request("/first"))
    client.writer.write(outgoing.read())
    answer = b""
    while b"\r\n\r\n" not in answer:
        incoming.write(await asyncio.wait_for(client.reader.read(65536), 20))
        try:
            while True:
                answer += tls.read()
        except ssl.SSLWantReadError:
            pass
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert world.gateway.last.target == "/base/first"


async def test_a_large_body_right_behind_the_handshake_arrives_whole(world, client):
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await client.tls(world.trusting())
    body = json.dumps({"note": "x" * 3_000_000}).encode()
    assert (await client.say(_request("/big", body=body))).status == 200
    assert world.gateway.last.body == body


async def test_many_tunnels_at_once(world):
    async def one(number: int) -> int:
        client = await Client.connect(world)
        assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
        await client.tls(world.trusting())
        answer = await client.say(_request(f"/{number}"))
        client.close()
        return answer.status

    assert await asyncio.gather(*map(one, range(40))) == [200] * 40
    assert {each.target for each in world.gateway.received} == {f"/base/{number}" for number in range(40)}
