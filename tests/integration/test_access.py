"""Who may use Panless: keys that expire and rotate, client certificates, inbound routes with `apps`, operators.

Two processes of `panless serve` over one database: what is revoked at one place is refused by both.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
import trustme

from tests.harness import configuration
from tests.harness.external import external
from tests.harness.forward import HOST, Answer, Client
from tests.harness.process import PanlessProcess, panless, serving
from tests.harness.upstream import recording
from vault.store.database import Database, Role
from vault.upkeep.apps import add_app
from vault.upkeep.operators import OperatorRole, add_operator

PAN = "4242424242424242"
SERVER = 'cert = "server.pem", key = "server.pem", client_ca = "client-ca.pem"'


def _routes(upstream: str) -> str:
    return f"""
[[outbound]]
name       = "shown"
bind       = "127.0.0.1:0"
tls        = {{ {SERVER}, client_certs = "optional" }}
hosts      = ["{HOST}"]
upstream   = "{upstream}/base/"
apps       = ["shop"]
credential = {{ slots = ["bearer"], secret = "file:gateway.key", always = true }}
fields     = {configuration.CARD_FIELDS}

[[inbound]]
name     = "partner"
path     = "/partner"
upstream = "{upstream}"
apps     = ["shop"]
fields   = {configuration.CARD_FIELDS}
"""


class World:
    def __init__(self, one, two, gateway, authority, client, database):
        self.database = database
        self.one, self.two = one, two
        self.gateway, self.authority, self.client = gateway, authority, client
        self.config = one.config

    async def command(self, *arguments) -> str:
        done = await panless(*arguments, "-c", self.config)
        assert done.code == 0, done.err
        return done.out

    async def add(self, app: str, *options: str) -> str:
        if not options:
            return await add_app(self.database, app, "default")  # as the command does, without starting one
        return json.loads(await self.command("app", "add", app, "--json", *options))["key"]

    async def operator(self, name: str, role: str) -> str:
        return await add_operator(self.database, name, OperatorRole(role))

    async def keys(self, app: str) -> list[dict]:
        rows = json.loads(await self.command("app", "list", "--json"))
        return next(row["keys"] for row in rows if row["app"] == app)

    def context(self, certificate=None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if certificate is not None:
            certificate.configure_cert(context)
        return context

    def issue(self, folder, name: str):
        certificate = self.authority.issue_cert(f"{name}.example")
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        return certificate, str(folder / f"{name}.pem")

    async def get(self, url: str, key: str = "", **options) -> tuple[int, str]:
        headers = {"Panless-Key": key} if key else {}
        async with self.client.get(url, headers=headers, **options) as answer:
            return answer.status, answer.headers.get("Panless-Error", "")

    async def both(self, key: str) -> list[tuple[int, str]]:
        return [await self.get(each.urls["outbound"] + "/gateway/x", key) for each in (self.one, self.two)]


@pytest.fixture(scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("access")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "client-ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    async with external(folder / "server") as database, recording() as gateway:
        head = f'database = {{ url = "{database.url}" }}\n'
        head += f'[listen.forward]\nbind = "127.0.0.1:0"\ntls = {{ {SERVER}, client_certs = "optional" }}\n'
        config = configuration.write(folder, gateway.url, gateway.url, head=head, extra=_routes(gateway.url))
        second = folder / "second.toml"
        second.write_text(config.read_text())
        (folder / "data").mkdir(mode=0o700)
        for arguments in (("migrate",), ("keys", "init"), ("ca", "show")):
            done = await panless(*arguments, "-c", config)
            assert done.code == 0, done.err
        async with serving(config) as one, serving(second) as two, aiohttp.ClientSession() as client:
            yield World(one, two, gateway, authority, client, Database({Role.PROXY: database.url}))


async def test_a_key_that_is_revoked_at_one_place_is_refused_at_once_by_every_process(world):
    key, other = await world.add("shop"), await world.add("shop")
    assert await world.both(key) == [(200, "")] * 2
    (row,) = [each for each in await world.keys("shop") if each["id"] == _id(key)]
    await world.command("app", "revoke", "shop", "--key", row["id"])
    assert await world.both(key) == [(401, "app_key_revoked")] * 2
    assert await world.both(other) == [(200, "")] * 2


def _id(key: str) -> str:
    from vault.crypto.credentials import digest

    return digest(key).hex()[:10]


async def test_rotation_gives_a_new_key_and_the_old_ones_end_after_the_grace(world):
    old = await world.add("shop")
    new = json.loads(await world.command("app", "rotate", "shop", "--grace", "1h", "--json"))["key"]
    assert await world.both(old) == await world.both(new) == [(200, "")] * 2
    newest = json.loads(await world.command("app", "rotate", "shop", "--grace", "0s", "--json"))["key"]
    for ended in (old, new):
        assert await world.both(ended) == [(401, "app_key_expired")] * 2
    assert await world.both(newest) == [(200, "")] * 2
    states = {each["id"]: each["state"] for each in await world.keys("shop")}
    assert (states[_id(old)], states[_id(newest)]) == ("expired", "active")


async def test_a_key_can_be_made_to_end(world):
    key = await world.add("shop", "--expires", "1s")
    async with asyncio.timeout(20):
        while (await world.both(key))[0] != (401, "app_key_expired"):
            await asyncio.sleep(0.2)
    done = await panless("app", "add", "shop", "--expires", "soon", "-c", world.config)
    assert done.code == 2 and "90d" in done.err


async def test_a_client_certificate_identifies_the_application_on_a_routes_own_port(world, tmp_path):
    certificate, file = world.issue(tmp_path, "shop")
    stranger, _ = world.issue(tmp_path, "stranger")
    url = world.one.urls["shown"] + "/x"
    shown = {"ssl": world.context(certificate)}
    assert await world.get(url, **shown) == (401, "app_unknown")
    added = json.loads(await world.command("app", "add", "shop", "--certificate", file, "--json"))
    assert set(added) == {"app", "certificate"}
    assert await world.get(url, **shown) == (200, "")
    assert await world.get(url, ssl=world.context(stranger)) == (401, "app_unknown")
    assert await world.get(url, ssl=world.context()) == (401, "app_unknown")
    # A key counts first, right or wrong; what an SDK puts into its slot is no key of Panless.
    assert await world.get(url, await world.add("spy"), **shown) == (403, "not_permitted")
    assert await world.get(url, "no key at all", **shown) == (401, "app_unknown")
    headers = {"Authorization": "Bearer sdk-dummy"}
    async with world.client.get(url, headers=headers, **shown) as answer:
        assert answer.status == 200
    assert world.gateway.last.header("Authorization") == f"Bearer {configuration.GATEWAY_SECRET}"
    again = await panless("app", "add", "spy", "--certificate", file, "-c", world.config)
    assert (again.code, "credential_in_use" in again.err) == (1, True)
    await world.command("app", "revoke", "shop", "--key", added["certificate"][:10])
    assert await world.get(url, **shown) == (401, "app_key_revoked")


async def test_the_digest_of_a_key_is_no_certificate(world, tmp_path):
    """The look-up asks for the kind, too: a row of one kind does not answer for the other."""
    certificate, file = world.issue(tmp_path, "kind")
    await world.command("app", "add", "shop", "--certificate", file)
    done = await _sql(world, "UPDATE app_keys SET kind = 'key' WHERE kind = 'certificate' AND revoked_at IS NULL")
    assert done.startswith("UPDATE")
    url = world.one.urls["shown"] + "/x"
    assert await world.get(url, ssl=world.context(certificate)) == (401, "app_unknown")


async def _sql(world, sql: str) -> str:
    import asyncpg

    connection = await asyncpg.connect(f"postgresql://postgres@/panless?host={world.config.parent / 'server/run'}")
    try:
        return await connection.execute(sql)
    finally:
        await connection.close()


async def test_the_certificate_of_the_connect_connection_counts_in_its_tunnel(world, tmp_path):
    certificate, file = world.issue(tmp_path, "tunnel")
    await world.command("app", "add", "shop", "--certificate", file)
    exported = await world.command("ca", "export")
    async with _tunnel(world, world.context(certificate), exported) as client:
        answer = await _say(client)
        assert answer.status == 200
        await world.command("app", "revoke", "shop")
        assert (await _say(client)).headers["panless-error"] == "app_key_revoked"
    stranger, _ = world.issue(tmp_path, "stranger")
    key = await world.add("shop")
    for shown in (world.context(), world.context(stranger)):
        async with _tunnel(world, shown, exported) as client:
            assert (await _say(client)).headers["panless-error"] == "app_unknown"
            assert (await _say(client, f"Panless-Key: {key}\r\n")).status == 200


@asynccontextmanager
async def _tunnel(world, outer: ssl.SSLContext, authority: str):
    host, _, port = world.one.urls["forward"].rpartition("//")[2].rpartition(":")
    client = Client(*await asyncio.open_connection(host, int(port), ssl=outer))
    try:
        assert (await client.tunnel()).status == 200
        await client.tls(ssl.create_default_context(cadata=authority))
        yield client
    finally:
        client.close()


async def _say(client: Client, more: str = "") -> Answer:
    return await client.say(f"GET /v1/x HTTP/1.1\r\nHost: {HOST}\r\n{more}\r\n")


async def test_an_inbound_route_with_apps_is_for_these_alone(world):
    shop, spy = await world.add("shop"), await world.add("spy")
    url, body = world.one.urls["inbound"] + "/partner", {"card": {"number": PAN}}
    before = len(world.gateway.received)
    for key, refusal in (("", (401, "app_unknown")), (spy, (403, "not_permitted"))):
        async with world.client.post(url, json=body, headers={"Panless-Key": key} if key else {}) as answer:
            assert (answer.status, answer.headers["Panless-Error"]) == refusal
    assert len(world.gateway.received) == before
    async with world.client.post(url, json=body, headers={"Panless-Key": shop}) as answer:
        assert answer.status == 200
    assert world.gateway.last.json()["card"]["number"].startswith("tok_")
    assert shop.encode() not in world.gateway.last.head
    async with world.client.post(world.one.urls["inbound"] + "/checkout", json=body) as answer:
        assert answer.status == 200  # it names no apps: anybody's


async def test_the_audit_log_is_for_auditors(world):
    keys = {role: await world.operator(f"the-{role}", role) for role in ("operator", "auditor", "approver")}
    url = world.one.urls["admin"] + "/audit/events"

    async def read(key: str, query: str = "") -> tuple[int, str, str]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with world.client.get(url + query, headers=headers) as answer:
            return answer.status, answer.headers.get("Panless-Error", ""), await answer.text()

    assert (await read(""))[:2] == (401, "operator_unknown")
    assert (await read(await world.add("shop")))[:2] == (401, "operator_unknown")
    assert (await read(keys["operator"]))[:2] == (403, "operator_not_permitted")
    assert (await read(keys["approver"]))[:2] == (403, "operator_not_permitted")
    status, _, text = await read(keys["auditor"], "?action=operator.sign_in&limit=3")
    events = [json.loads(line) for line in text.splitlines()]
    assert status == 200 and len(events) == 3
    assert [(each["operator"], each["outcome"]) for each in events] == [
        ("the-operator", "permitted"),
        ("the-approver", "permitted"),
        ("the-auditor", "permitted"),
    ]
    for query in ("?limit=0", "?limit=x", "?since=yesterday", "?nothing=1", "?app=a&app=b"):
        assert (await read(keys["auditor"], query))[:2] == (400, "filter_invalid")
    reads = await world.one.events("--action", "audit.read")
    assert {(each["operator"], each["outcome"], each.get("code")) for each in reads} == {
        ("the-operator", "denied", "operator_not_permitted"),
        ("the-approver", "denied", "operator_not_permitted"),
        ("the-auditor", "permitted", None),
    }
    await world.command("operator", "revoke", "the-auditor")
    assert (await read(keys["auditor"]))[:2] == (401, "operator_key_revoked")
    assert await world.get(world.one.urls["admin"] + "/healthz") == (200, "")


async def test_operators_are_listed_rotated_and_keep_their_role(world):
    old = json.loads(await world.command("operator", "add", "ruth", "--role", "auditor", "--json"))["key"]
    done = await panless("operator", "add", "ruth", "--role", "approver", "-c", world.config)
    assert (done.code, "operator_other_role" in done.err) == (1, True)
    new = json.loads(await world.command("operator", "rotate", "ruth", "--grace", "0s", "--json"))["key"]
    (ruth,) = [
        each for each in json.loads(await world.command("operator", "list", "--json")) if each["operator"] == "ruth"
    ]
    assert (ruth["role"], [key["state"] for key in ruth["keys"]]) == ("auditor", ["expired", "active"])
    url = world.one.urls["admin"] + "/audit/events?limit=1"
    for key, status in ((old, 401), (new, 200)):
        async with world.client.get(url, headers={"Authorization": f"Bearer {key}"}) as answer:
            assert answer.status == status


async def test_an_operators_key_reaches_no_gateway_and_no_log(world):
    shop, key = await world.add("shop"), await world.operator("olga", "operator")
    headers = {"Panless-Key": shop, "X-Other": f"mine is {key}", "X-Request-Id": key}
    async with world.client.get(world.one.urls["outbound"] + "/gateway/x", headers=headers) as answer:
        assert answer.status == 200
    assert b"plo_" not in world.gateway.last.head
    async with world.client.post(
        world.one.urls["outbound"] + "/gateway/x", json={"note": key}, headers={"Panless-Key": shop}
    ) as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (400, "key_misplaced")
    assert key not in world.one.log + world.two.log


async def test_when_a_key_was_last_used_is_written_when_a_process_ends(world):
    key = await world.add("shop")
    third = world.config.with_name("third.toml")
    third.write_text(world.config.read_text())
    process = await PanlessProcess(third).start()
    assert await world.get(process.urls["outbound"] + "/gateway/x", key) == (200, "")
    assert await process.stop() == 0
    (row,) = [each for each in await world.keys("shop") if each["id"] == _id(key)]
    assert row["last_used_at"] is not None
