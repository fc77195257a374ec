"""The certificate authority of the forward proxy: made at first need, wrapped by the KEK, rotated without a gap."""

from __future__ import annotations

import asyncio
import json
import os
import ssl

import asyncpg
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.harness import configuration
from tests.harness.external import external
from tests.harness.forward import HOST, LISTEN, Client, ForwardWorld, forwarding, proxy_authorization, routes
from tests.harness.process import panless


@pytest.fixture(scope="module")
async def world(tmp_path_factory) -> ForwardWorld:
    async with forwarding(tmp_path_factory.mktemp("ca")) as running:
        yield running


async def _ca(world: ForwardWorld, *arguments: str):
    done = await panless("ca", *arguments, "--json", "-c", world.config)
    assert done.code == 0, done.err
    return json.loads(done.out)


async def _served(world: ForwardWorld, host: str = HOST) -> x509.Certificate:
    """Return the certificate that a tunnel shows."""
    context = world.trusting()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = await Client.connect(world)
    assert (await client.tunnel(f"{host}:8443")).status == 200
    await client.tls(context, host)
    certificate = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    client.close()
    return x509.load_der_x509_certificate(certificate)


def _signed_by(leaf: x509.Certificate, authority: dict) -> bool:
    issuer = x509.load_pem_x509_certificate(authority["pem"].encode())
    if leaf.issuer != issuer.subject:
        return False
    try:
        leaf.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    return True


async def test_the_authority_is_what_it_should_be(world):
    (exported,) = await _ca(world, "export")
    certificate = x509.load_pem_x509_certificate(exported["pem"].encode())
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert certificate.subject.rfc4514_string() == f"CN=Panless CA {exported['id'].replace('-', '')[-8:]}"
    assert certificate.public_key().curve.name == "secp256r1"
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 3650
    assert exported["fingerprint"] == certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    assert exported["not_after"] == certificate.not_valid_after_utc.isoformat()


@pytest.mark.parametrize("host", [HOST, "127.0.0.1"])
async def test_a_leaf_is_for_its_host_alone_and_kept(world, host):
    leaf = await _served(world, host)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [host]
    extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 30
    assert await _served(world, host) == leaf


async def test_show_tells_what_to_do(world):
    done = await panless("ca", "show", "-c", world.config)
    assert done.code == 0
    (shown,) = await _ca(world, "show")
    assert shown["state"] == "active"
    for part in (shown["id"], "active", shown["not_after"][:10], "panless ca export"):
        assert part in done.out
    assert "pem" not in shown
    assert "PRIVATE" not in done.out


async def test_the_bundle_can_be_written_to_a_file(world, tmp_path):
    done = await panless("ca", "export", "--out", tmp_path / "ca.pem", "-c", world.config)
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "ca.pem").read_text() == (await panless("ca", "export", "-c", world.config)).out
    done = await panless("ca", "export", "--out", tmp_path / "no" / "ca.pem", "-c", world.config)
    assert done.code == 2
    assert "Traceback" not in done.err


async def test_the_private_key_is_nowhere_in_clear(world):
    """Not in the database: 32 bytes come wrapped as 60, and the certificate is all that is stored beside them."""
    rows = await _rows(world, "SELECT wrapped, certificate, kek FROM authorities")
    for row in rows:
        assert len(row["wrapped"]) == 60
        assert row["kek"].startswith("kek_")
        assert b"PRIVATE" not in row["certificate"]
    assert "PRIVATE" not in (await panless("ca", "export", "--json", "-c", world.config)).out
    assert "PRIVATE" not in world.process.log


async def _rows(world: ForwardWorld, query: str) -> list[asyncpg.Record]:
    folder = world.config.parent / "data"
    running = await asyncpg.connect(
        host=str(folder / "run"), port=5432, user="panless_owner", database="panless", ssl=False
    )
    try:
        return await running.fetch(query)
    finally:
        await running.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: nobody else may look into a process of Panless")
async def test_no_file_is_left_behind_and_no_descriptor(world):
    await _served(world)
    descriptors = f"/proc/{world.process.pid}/fd"
    held = [os.readlink(f"{descriptors}/{each}") for each in os.listdir(descriptors)]
    assert not [each for each in held if "memfd" in each or "certificate" in each]


async def test_rotation_has_no_gap_and_a_running_panless_follows(world):
    (first,) = await _ca(world, "export")
    assert (await panless("ca", "rotate", "--activate", "-c", world.config)).err.count("authority_next_missing") == 1
    made = await _ca(world, "rotate")
    assert made["state"] == "pre-active"
    assert "authority_next_exists" in (await panless("ca", "rotate", "-c", world.config)).err
    active, following = await _ca(world, "export")
    assert (active["id"], following["id"]) == (first["id"], made["id"])
    assert _signed_by(await _served(world), first)
    await world.export()  # what clients trust from now on: both
    assert world.bundle.count("BEGIN CERTIFICATE") == 2
    assert await _ca(world, "rotate", "--activate") == {"id": made["id"], "state": "active"}
    for _ in range(30):
        if _signed_by(await _served(world), following):
            break
        assert await _trusted(world)
        await asyncio.sleep(1)
    assert _signed_by(await _served(world), following)
    assert await _trusted(world)
    states = {each["id"]: each["state"] for each in await _ca(world, "show")}
    assert states == {first["id"]: "deactivated", made["id"]: "active"}
    assert [each["id"] for each in await _ca(world, "export")] == [made["id"]]
    events = [each for each in await world.process.events() if each["action"].startswith("ca.")]
    assert [each["action"] for each in events] == ["ca.create", "ca.rotate", "ca.activate"]
    assert [each["destination"].removeprefix("authority ") for each in events] == [first["id"], made["id"], made["id"]]


async def _trusted(world: ForwardWorld) -> bool:
    client = await Client.connect(world)
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await client.tls(world.trusting())
    answer = await client.say(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
    client.close()
    return answer.status == 200


async def test_an_authority_that_somebody_put_into_the_table_is_not_exported(tmp_path):
    """Whoever can write to the database must not have applications trust an authority of their own."""
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:1")
    async with external(tmp_path / "server") as database:
        config.write_text(f'database = {{ url = "{database.url}" }}\n[keys]\npath = "kek"\n')
        assert (await panless("keys", "init", "-c", config)).code == 0
        assert (await panless("migrate", "-c", config)).code == 0
        assert (await panless("ca", "rotate", "-c", config)).code == 0
        await database.execute(
            "UPDATE authorities SET certificate = (SELECT certificate FROM authorities WHERE state = 'pre-active')"
            " WHERE state = 'active'"
        )
        done = await panless("ca", "export", "-c", config)
        assert (done.code, done.out) == (1, "")
        assert "key_unavailable" in done.err
        assert "key_unavailable" in (await panless("ca", "rotate", "--activate", "-c", config)).err


async def test_serve_on_an_external_database_says_what_to_run(tmp_path):
    async with external(tmp_path / "server") as database:
        config = configuration.write(
            tmp_path,
            "http://127.0.0.1:1",
            "http://127.0.0.1:1",
            head=f'database = {{ url = "{database.url}" }}\nkeys = {{ path = "kek" }}\n' + LISTEN,
            extra=routes("http://127.0.0.1:1"),
        )
        assert (await panless("keys", "init", "-c", config)).code == 0
        assert (await panless("migrate", "-c", config)).code == 0
        done = await panless("serve", "-c", config)
        assert (done.code, done.out) == (1, "")
        assert "authority_missing" in done.err
        assert "panless ca show" in done.err
        (made,) = json.loads((await panless("ca", "show", "--json", "-c", config)).out)
        assert made["state"] == "active"
        from tests.harness.process import serving

        async with serving(config) as running:
            assert running.urls["forward"]
        await database.execute("UPDATE authorities SET not_after = now() - interval '1 second'")
        assert "authority_missing" in (await panless("serve", "-c", config)).err
