"""Signing in to a real OpenBao: replaced tokens are picked up, AppRoles sign in again, refusals stay refusals."""

from __future__ import annotations

import asyncio

import pytest

from vault.errors import KeyUnavailable
from vault.key_settings import AppRole

KEY = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
async def kek(provider) -> str:
    return await provider.newest()


@pytest.fixture
async def policy(bao, name) -> str:
    rules = "".join(
        f'path "transit/{verb}/{name}" {{ capabilities = ["update"] }}\n' for verb in ("encrypt", "decrypt")
    )
    await bao.call("PUT", f"sys/policies/acl/{name}", {"policy": rules})
    return name


@pytest.fixture
async def role(bao, policy) -> AppRole:
    """An AppRole whose tokens last two seconds."""
    if "approle/" not in (await bao.call("GET", "sys/auth"))["data"]:
        await bao.call("POST", "sys/auth/approle", {"type": "approle"})
    path = f"auth/approle/role/{policy}"
    await bao.call("POST", path, {"token_policies": [policy], "token_ttl": "2s", "token_max_ttl": "2s"})
    role_id = (await bao.call("GET", f"{path}/role-id"))["data"]["role_id"]
    secret_id = (await bao.call("POST", f"{path}/secret-id"))["data"]["secret_id"]
    return AppRole(role_id, lambda: secret_id)


async def tokens_of(bao, policy: str) -> list[str]:
    """Accessors of the tokens that there are for a policy."""
    found = []
    for accessor in (await bao.call("LIST", "auth/token/accessors"))["data"]["keys"]:
        status, answer = await bao.status("POST", "auth/token/lookup-accessor", {"accessor": accessor})
        if status == 200 and policy in answer["data"]["policies"]:
            found.append(accessor)
    return found


async def test_a_revoked_token_is_refused_until_its_file_is_replaced(bao, open_provider, policy, kek, tmp_path):
    file = tmp_path / "token"
    file.write_text(await bao.token(policy))
    provider = open_provider(login=file.read_text)
    wrapped = await provider.wrap(kek, KEY, b"")
    await bao.call("POST", "auth/token/revoke", {"token": file.read_text()})
    for _ in range(2):
        with pytest.raises(KeyUnavailable, match="permission denied") as caught:
            await provider.unwrap(kek, wrapped, b"")
        assert file.read_text() not in str(caught.value)
        assert type(caught.value) is KeyUnavailable
    file.write_text(await bao.token(policy))
    assert await provider.unwrap(kek, wrapped, b"") == KEY


async def test_a_token_that_is_replaced_before_it_ends_is_not_noticed(bao, open_provider, policy, kek, tmp_path):
    file = tmp_path / "token"
    file.write_text(await bao.token(policy))
    provider = open_provider(login=file.read_text)
    await provider.wrap(kek, KEY, b"")
    old = file.read_text()
    file.write_text(await bao.token(policy))
    await bao.call("POST", "auth/token/revoke", {"token": old})
    await asyncio.gather(*(provider.wrap(kek, KEY, b"") for _ in range(5)))


async def test_a_token_that_cannot_be_read_or_is_none_is_not_sent(open_provider, kek):
    def missing() -> str:
        raise ValueError("s.canary is not to be shown")

    for login in (missing, lambda: "", lambda: "s.canary\r\nX-Evil: 1", lambda: "s.canäry", lambda: "two words"):
        with pytest.raises(KeyUnavailable, match="token cannot be read") as caught:
            await open_provider(login=login).wrap(kek, KEY, b"")
        assert "canary" not in str(caught.value)


async def test_an_approle_signs_in_and_keeps_its_token(bao, open_provider, role, policy, kek):
    provider = open_provider(login=role)
    await asyncio.gather(*(provider.wrap(kek, KEY, b"") for _ in range(5)))
    assert len(await tokens_of(bao, policy)) == 1


async def test_an_approle_signs_in_again_when_its_token_has_ended(bao, open_provider, role, policy, kek):
    provider = open_provider(login=role)
    wrapped = await provider.wrap(kek, KEY, b"")
    while await tokens_of(bao, policy):
        await asyncio.sleep(0.2)
    assert await provider.unwrap(kek, wrapped, b"") == KEY


async def test_an_approle_signs_in_again_when_its_token_was_revoked(bao, open_provider, role, policy, kek):
    provider = open_provider(login=role)
    wrapped = await provider.wrap(kek, KEY, b"")
    (accessor,) = await tokens_of(bao, policy)
    await bao.call("POST", "auth/token/revoke-accessor", {"accessor": accessor})
    assert await provider.unwrap(kek, wrapped, b"") == KEY


async def test_a_missing_permission_does_not_use_up_secret_ids(bao, open_provider, role, policy, kek):
    provider = open_provider(login=role)
    await bao.call("POST", f"auth/approle/role/{policy}", {"token_ttl": "1h", "token_max_ttl": "1h"})
    await provider.wrap(kek, KEY, b"")
    await bao.call("PUT", f"sys/policies/acl/{policy}", {"policy": 'path "other" { capabilities = ["read"] }'})
    for _ in range(3):
        with pytest.raises(KeyUnavailable, match="permission denied"):
            await provider.wrap(kek, KEY, b"")
    assert len(await tokens_of(bao, policy)) == 1


async def test_a_refused_secret_id_is_refused_and_works_once_it_is_replaced(bao, open_provider, role, policy, kek):
    secret = ["11111111-2222-3333-4444-555555555555"]
    provider = open_provider(login=AppRole(role.role_id, lambda: secret[0]))
    with pytest.raises(KeyUnavailable, match="AppRole was refused") as caught:
        await provider.wrap(kek, KEY, b"")
    assert secret[0] not in str(caught.value)
    secret[0] = role.secret_id()
    await provider.wrap(kek, KEY, b"")
