"""The transit provider against a real OpenBao: what it wraps opens in its own place and by its own version only."""

from __future__ import annotations

import base64
import hashlib
from uuid import UUID

import pytest

from vault.errors import KekNotDestroyed, KeyProviderUnavailable, KeyUnavailable
from vault.key_settings import TransitSettings
from vault.keys.providers import build
from vault.keys.transit import TransitKeyProvider

KEY = b"0123456789abcdef0123456789abcdef"
CONTEXT = b"panless data key: " + UUID(int=7).bytes


async def test_what_is_wrapped_is_unwrapped(provider, name):
    kek = await provider.newest()
    assert kek == f"transit:transit/{name}:v1"
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    assert wrapped.startswith(b"vault:v1:")
    assert KEY not in wrapped and base64.b64encode(KEY)[:-2] not in wrapped
    assert await provider.unwrap(kek, wrapped, CONTEXT) == KEY
    assert await provider.wrap(kek, KEY, CONTEXT) != wrapped
    await provider.health()


@pytest.mark.parametrize("context", [b"", CONTEXT + b"\0", CONTEXT[:-1], b"another tenant"])
async def test_a_key_that_was_moved_to_another_place_is_not_unwrapped(provider, context):
    kek = await provider.newest()
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    with pytest.raises(KeyUnavailable, match="did not wrap"):
        await provider.unwrap(kek, wrapped, context)


async def test_openbao_itself_binds_to_the_place_twice(bao, provider, name):
    kek = await provider.newest()
    ciphertext = (await provider.wrap(kek, KEY, CONTEXT)).decode()
    derived = base64.b64encode(hashlib.sha256(CONTEXT).digest()).decode()
    bound = {"ciphertext": ciphertext, "context": derived, "associated_data": base64.b64encode(CONTEXT).decode()}
    answer = await bao.call("PUT", f"transit/decrypt/{name}", bound)
    assert base64.b64decode(answer["data"]["plaintext"]) == KEY
    for part in ("context", "associated_data"):
        for change in ({part: "YWFhYQ=="}, {part: ""}):
            status, _ = await bao.status("PUT", f"transit/decrypt/{name}", bound | change)
            assert status == 400, change


async def test_a_changed_or_foreign_wrapping_is_not_unwrapped(provider, open_provider, bao):
    kek = await provider.newest()
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    body = bytearray(base64.b64decode(wrapped[9:]))
    for place in (0, 12, len(body) - 1):
        changed = bytearray(body)
        changed[place] ^= 1
        with pytest.raises(KeyUnavailable):
            await provider.unwrap(kek, b"vault:v1:" + base64.b64encode(changed), CONTEXT)
    for rest in (b"", b"vault:v1:", wrapped[9:], wrapped + b"\n", b"vault:v1:\xff\xfe", wrapped.replace(b":", b"/")):
        with pytest.raises(KeyUnavailable, match="not wrapped by this KEK"):
            await provider.unwrap(kek, rest, CONTEXT)
    await bao.call("POST", "transit/keys/another", {"derived": True})
    with pytest.raises(KeyUnavailable):
        await open_provider(key="another").unwrap("transit:transit/another:v1", wrapped, CONTEXT)


async def test_each_version_is_a_kek_of_its_own(provider, name):
    first = await provider.newest()
    old = await provider.wrap(first, KEY, CONTEXT)
    second = await provider.make(None)
    assert second == await provider.newest() == f"transit:transit/{name}:v2"
    new = await provider.wrap(second, KEY, CONTEXT)
    assert new.startswith(b"vault:v2:")
    assert (await provider.wrap(first, KEY, CONTEXT)).startswith(b"vault:v1:")
    assert await provider.unwrap(first, old, CONTEXT) == await provider.unwrap(second, new, CONTEXT) == KEY
    for kek, wrapped in ((first, new), (second, old)):
        with pytest.raises(KeyUnavailable, match="not wrapped by this KEK"):
            await provider.unwrap(kek, wrapped, CONTEXT)
    with pytest.raises(KeyUnavailable):
        await provider.wrap(f"transit:transit/{name}:v3", KEY, CONTEXT)


async def test_a_tenants_key_is_another_key_and_does_not_tell_the_tenant(provider, name):
    shared, mine, other = await provider.newest(), await provider.make("acme"), await provider.make("other")
    assert mine == f"transit:transit/{name}-{hashlib.sha256(b'acme').hexdigest()[:16]}:v1"
    assert len({shared, mine, other}) == 3
    wrapped = await provider.wrap(mine, KEY, CONTEXT)
    assert await provider.unwrap(mine, wrapped, CONTEXT) == KEY
    for kek in (shared, other):
        with pytest.raises(KeyUnavailable):
            await provider.unwrap(kek, wrapped, CONTEXT)
    assert await provider.make("acme") == mine.replace(":v1", ":v2")
    assert all(provider.holds(kek) for kek in (shared, mine, other))


async def test_make_makes_a_key_that_is_not_there(open_provider, bao):
    provider = open_provider(key="fresh")
    with pytest.raises(KeyUnavailable, match="there is no such key"):
        await provider.newest()
    assert await provider.make(None) == "transit:transit/fresh:v1"
    made = (await bao.call("GET", "transit/keys/fresh"))["data"]
    assert (made["type"], made["derived"], made["exportable"], made["deletion_allowed"]) == (
        "aes256-gcm96",
        True,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"type": "aes256-gcm96"}, "derived=true"),
        ({"type": "chacha20-poly1305", "derived": True}, "type=aes256-gcm96"),
        ({"derived": True, "exportable": True}, "exported"),
        ({"derived": True, "allow_plaintext_backup": True}, "exported"),
    ],
)
async def test_a_key_that_is_not_fit_to_be_a_kek_is_refused(open_provider, bao, made, reason):
    name = "unfit" + hashlib.sha256(repr(made).encode()).hexdigest()[:8]
    await bao.call("POST", f"transit/keys/{name}", made)
    with pytest.raises(KeyUnavailable, match=reason):
        await open_provider(key=name).newest()


async def test_a_destroyed_version_is_gone_and_the_others_work(provider, bao, name):
    first = await provider.newest()
    second = await provider.make(None)
    old, new = await provider.wrap(first, KEY, CONTEXT), await provider.wrap(second, KEY, CONTEXT)
    with pytest.raises(KekNotDestroyed) as caught:
        await provider.destroy(second)
    assert first in caught.value.advice
    await provider.destroy(first)
    with pytest.raises(KeyUnavailable):
        await provider.unwrap(first, old, CONTEXT)
    with pytest.raises(KeyUnavailable):
        await provider.wrap(first, KEY, CONTEXT)
    assert await provider.unwrap(second, new, CONTEXT) == KEY
    for least in (0, 1):  # not even an administrator brings it back
        await bao.status("POST", f"transit/keys/{name}/config", {"min_decryption_version": least})
        with pytest.raises(KeyUnavailable):
            await provider.unwrap(first, old, CONTEXT)
    await provider.destroy(first)


@pytest.mark.parametrize("tenant", [None, "acme"])
async def test_the_id_of_a_destroyed_kek_is_never_given_again(open_provider, bao, tenant):
    provider = open_provider(key="again")
    kek = await provider.make(tenant)
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    await provider.destroy(kek)
    again = await provider.make(tenant)
    assert again != kek
    for refused in (provider.wrap(kek, KEY, CONTEXT), provider.unwrap(kek, wrapped, CONTEXT)):
        with pytest.raises(KeyUnavailable):
            await refused
    # The version in between was never a KEK: what the error says helps an operator.
    with pytest.raises(KekNotDestroyed) as caught:
        await provider.destroy(again)
    for path, body in _commands(caught.value.advice):
        await bao.call("POST", path, body)
    await provider.destroy(again)
    with pytest.raises(KeyUnavailable):
        await provider.wrap(again, KEY, CONTEXT)


def _commands(advice: str) -> list[tuple[str, dict]]:
    commands = [part.split(", then")[0].split() for part in advice.split("bao write ")[1:]]
    return [(words[0], dict(word.split("=") for word in words[1:])) for words in commands]


async def test_destroying_what_is_not_there_is_done(open_provider):
    await open_provider(key="never").destroy("transit:transit/never:v1")


async def test_ids_of_others_are_not_held(provider, name):
    held = (f"transit:transit/{name}:v1", f"transit:transit/{name}-0123456789abcdef:v12")
    assert all(provider.holds(kek) for kek in held)
    others = (
        "",
        "kek_1",
        f"transit:transit/{name}",
        f"transit:transit/{name}:v0",
        f"transit:transit/{name}:v1\n",
        f"transit:transit/{name}x:v1",
        f"transit:other/{name}:v1",
        f"transit:transit/{name}-0123:v1",
        f"transit:transit/{name}/rotate:v1",
    )
    for kek in others:
        assert not provider.holds(kek)
        with pytest.raises(KeyUnavailable):
            await provider.wrap(kek, KEY, CONTEXT)
        with pytest.raises(KeyUnavailable):
            await provider.destroy(kek)


async def test_what_an_error_shows_is_no_key_and_nothing_of_the_answer(provider):
    kek = await provider.newest()
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    with pytest.raises(KeyUnavailable) as caught:
        await provider.unwrap(kek, wrapped, b"wrong")
    assert caught.value.__cause__ is None
    assert "authentication failed" not in str(caught.value)
    with pytest.raises(KeyUnavailable) as caught:
        await provider.wrap(kek.replace(":v1", ":v9"), KEY, CONTEXT)
    assert "requested version" not in str(caught.value)


async def test_mounts_and_namespaces_are_part_of_the_id(bao, open_provider):
    await bao.call("POST", "sys/namespaces/payments")
    await bao.call("POST", "sys/mounts/deep/transit", {"type": "transit"}, namespace="payments")
    await bao.call("POST", "deep/transit/keys/panless", {"derived": True}, namespace="payments")
    provider = open_provider(key="panless", mount="deep/transit", namespace="payments")
    kek = await provider.newest()
    assert kek == "transit:payments/deep/transit/panless:v1"
    assert await provider.unwrap(kek, await provider.wrap(kek, KEY, CONTEXT), CONTEXT) == KEY
    with pytest.raises(KeyUnavailable):
        await open_provider(key="panless", mount="deep/transit").newest()


async def test_the_certificate_is_verified(open_provider, settings):
    kek = f"transit:transit/{settings.key}:v1"
    for changes in ({"ca": None}, {"address": settings.address.replace("127.0.0.1", "localhost")}):
        with pytest.raises(KeyProviderUnavailable, match="certificate"):
            await open_provider(**changes).wrap(kek, KEY, CONTEXT)


async def test_a_file_of_authorities_that_is_none_is_refused(open_provider, tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "nowhere.pem"):
        with pytest.raises(KeyUnavailable, match="does not hold certificates"):
            await open_provider(ca=tmp_path / name).newest()


def test_the_factory_builds_it_and_nothing_that_can_be_shown_is_the_token():
    provider = build(TransitSettings("https://bao.example:8200", "panless", lambda: "s.secret-token"))
    assert isinstance(provider, TransitKeyProvider)
    assert provider.describe().provider == "transit"
    assert provider.describe().location == "https://bao.example:8200 transit/panless"
    assert "secret-token" not in f"{provider!r}{vars(provider)!r}"
