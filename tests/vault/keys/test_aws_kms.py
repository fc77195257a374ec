"""The KMS provider against a stand-in of KMS that binds to the encryption context.

The stand-in decrypts under disabled keys, so nothing here shows what a disabled key does; of destroying, these tests
show what was asked of KMS.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from tests.harness.kms import DUMMY, REGION, Kms, environment, serving
from tests.harness.stalling import relay
from vault.errors import KekNotMade, KeyProviderUnavailable, KeyUnavailable
from vault.key_settings import AwsKmsSettings
from vault.keys.aws_kms import AwsKmsProvider
from vault.keys.providers import build

KEY = b"0123456789abcdef0123456789abcdef"
CONTEXT = b"panless data key: \x00\xff"


@pytest.fixture(scope="module")
async def kms():
    with serving() as server:
        await server.new_key("alias/panless")
        yield server


@pytest.fixture
async def provider(kms):
    made = AwsKmsProvider(kms.settings)
    yield made
    await made.close()


async def test_what_is_wrapped_is_unwrapped_in_the_same_context_only(provider):
    kek = await provider.newest()
    assert kek.startswith(f"arn:aws:kms:{REGION}:")
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    assert KEY not in wrapped
    assert await provider.unwrap(kek, wrapped, CONTEXT) == KEY
    for other in (b"", CONTEXT + b"\0", CONTEXT[:-1], b"another tenant"):
        with pytest.raises(KeyUnavailable, match="did not wrap"):
            await provider.unwrap(kek, wrapped, other)
    await provider.health()


async def test_kms_itself_is_asked_to_bind_to_the_place(provider, kms):
    kek = await provider.newest()
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    context = {"panless": base64.b64encode(CONTEXT).decode()}
    answer = await kms.call("decrypt", CiphertextBlob=wrapped, EncryptionContext=context)
    assert answer["Plaintext"] == KEY
    with pytest.raises(ClientError, match="InvalidCiphertext"):
        await kms.call("decrypt", CiphertextBlob=wrapped)


async def test_a_changed_or_foreign_wrapping_is_not_unwrapped(provider, kms):
    kek, other = await provider.newest(), await kms.new_key()
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    changed = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    foreign = await provider.wrap(other, KEY, CONTEXT)
    for box in (changed, foreign):
        with pytest.raises(KeyUnavailable):
            await provider.unwrap(kek, box, CONTEXT)


async def test_a_key_may_be_named_by_alias_id_or_arn(kms):
    arn = await kms.new_key("alias/named")
    for key in ("alias/named", arn, arn.split("/")[1], arn.replace("key/" + arn.split("/")[1], "alias/named")):
        provider = AwsKmsProvider(kms.settings_of(key))
        assert await provider.newest() == arn
        assert provider.holds(arn)
        await provider.close()


async def test_the_newest_kek_is_where_the_alias_points_and_panless_does_not_move_it(kms):
    first = await kms.new_key("alias/moved")
    provider = AwsKmsProvider(kms.settings_of("alias/moved"))
    wrapped = await provider.wrap(first, KEY, CONTEXT)
    with pytest.raises(KekNotMade) as caught:
        await provider.make(None)
    assert "update-alias" in caught.value.advice
    second = await kms.new_key()
    await kms.call("update_alias", AliasName="alias/moved", TargetKeyId=second)
    assert await provider.newest() == second
    assert await provider.unwrap(first, wrapped, CONTEXT) == KEY
    await provider.close()


async def test_a_tenants_key_is_another_key_and_does_not_tell_the_tenant(provider, kms):
    mine, other = await provider.make("acme"), await provider.make("other")
    assert len({mine, other, await provider.newest()}) == 3
    wrapped = await provider.wrap(mine, KEY, CONTEXT)
    assert await provider.unwrap(mine, wrapped, CONTEXT) == KEY
    with pytest.raises(KeyUnavailable):
        await provider.unwrap(other, wrapped, CONTEXT)
    tags = (await kms.call("list_resource_tags", KeyId=mine))["Tags"]
    assert tags == [{"TagKey": "panless-tenant", "TagValue": hashlib.sha256(b"acme").hexdigest()[:16]}]
    assert "acme" not in str(await kms.call("describe_key", KeyId=mine))


async def test_destroying_asks_kms_to_delete_the_key_as_soon_as_it_does(provider, kms):
    kek = await provider.make("leaving")
    await provider.destroy(kek)
    metadata = (await kms.call("describe_key", KeyId=kek))["KeyMetadata"]
    assert metadata["KeyState"] == "PendingDeletion"
    await provider.destroy(kek)
    with pytest.raises(KeyUnavailable):
        await AwsKmsProvider(kms.settings_of(kek)).newest()


async def test_a_key_that_is_not_fit_to_be_a_kek_is_refused(kms):
    disabled = await kms.new_key()
    await kms.call("disable_key", KeyId=disabled.split("/")[1])
    unfit = [
        (disabled, "not enabled"),
        (await kms.new_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT"), "not a symmetric key"),
        (await kms.new_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC"), "not a symmetric key"),
        ("alias/nowhere", "NotFoundException"),
    ]
    for key, reason in unfit:
        provider = AwsKmsProvider(kms.settings_of(key))
        with pytest.raises(KeyUnavailable, match=reason):
            await provider.newest()
        await provider.close()


async def test_ids_of_others_are_not_held(provider):
    good = f"arn:aws:kms:{REGION}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    assert provider.holds(good)
    others = (
        "",
        "alias/panless",
        good + "\n",
        good.replace(REGION, "us-east-1"),
        good.replace(":kms:", ":s3:"),
        good.replace("key/", "alias/"),
        "transit:transit/panless:v1",
    )
    for kek in others:
        assert not provider.holds(kek)
        for call in (provider.wrap(kek, KEY, b""), provider.unwrap(kek, b"x", b""), provider.destroy(kek)):
            with pytest.raises(KeyUnavailable, match="not the ARN"):
                await call
    pinned = AwsKmsProvider(AwsKmsSettings(good, REGION))
    assert pinned.holds(good)
    assert not pinned.holds(good.replace("123456789012", "210987654321"))


async def test_stopped_is_unavailable_and_works_again_by_itself(kms):
    with serving() as server:
        kek = await server.new_key()
        provider = AwsKmsProvider(server.settings_of(kek))
        wrapped = await provider.wrap(kek, KEY, CONTEXT)
        server.server.stop()
        for call in (provider.wrap(kek, KEY, b""), provider.unwrap(kek, wrapped, b""), provider.health()):
            with pytest.raises(KeyProviderUnavailable, match="connection failed"):
                await call
        with serving(server.port):
            assert await provider.unwrap(kek, wrapped, CONTEXT) == KEY
        server.server.start()  # for the end of `with`
        await provider.close()


async def test_a_server_that_stalls_is_given_up_and_used_again(kms):
    kek = await kms.new_key()
    async with relay(kms.port) as between:
        provider = AwsKmsProvider(kms.settings_of(kek, endpoint=f"http://127.0.0.1:{between.port}", timeout=4))
        wrapped = await provider.wrap(kek, KEY, CONTEXT)
        between.stalled, between.seen = True, 0
        calls = (provider.unwrap(kek, wrapped, CONTEXT), provider.wrap(kek, KEY, b""), provider.newest())
        for outcome in await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30):
            assert type(outcome) is KeyProviderUnavailable
            assert "no answer within 4 seconds" in str(outcome)
        assert between.seen
        between.stalled = False
        between.cut()
        assert await provider.unwrap(kek, wrapped, CONTEXT) == KEY
        await provider.close()


CANARY = "canary of an answer"
CODES = {
    ("ThrottlingException", 400): KeyProviderUnavailable,
    ("KMSInternalException", 500): KeyProviderUnavailable,
    ("KeyUnavailableException", 500): KeyProviderUnavailable,
    ("DependencyTimeoutException", 503): KeyProviderUnavailable,
    ("Whatever", 502): KeyProviderUnavailable,
    ("Whatever", 429): KeyProviderUnavailable,
    ("AccessDeniedException", 400): KeyUnavailable,
    ("DisabledException", 400): KeyUnavailable,
    ("KMSInvalidStateException", 400): KeyUnavailable,
    ("ExpiredTokenException", 400): KeyUnavailable,
    ("UnrecognizedClientException", 400): KeyUnavailable,
    (CANARY, 400): KeyUnavailable,
}


@asynccontextmanager
async def answering(kms: Kms, status: int, text: str) -> AsyncIterator[tuple[AwsKmsProvider, str]]:
    """A provider whose KMS always gives the same answer, and the id of a KEK."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type="application/x-amz-json-1.1")

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    kek = f"arn:aws:kms:{REGION}:123456789012:key/1"
    provider = AwsKmsProvider(kms.settings_of(kek, endpoint=f"http://127.0.0.1:{port}"))
    yield provider, kek
    await provider.close()
    await runner.cleanup()


@pytest.mark.parametrize(("code", "status"), CODES)
async def test_what_kms_answers_decides_whether_to_come_back(kms, code, status):
    async with answering(kms, status, json.dumps({"__type": code, "message": CANARY})) as (provider, kek):
        for call in (provider.wrap(kek, KEY, b""), provider.unwrap(kek, b"x", b""), provider.newest()):
            with pytest.raises(KeyUnavailable) as caught:
                await call
            assert type(caught.value) is CODES[code, status]
            assert CANARY not in str(caught.value)
            assert caught.value.__cause__ is None


ODD = {
    "not JSON": CANARY,
    "cut JSON": f'{{"Plaintext": "{CANARY}',
    "no object": f'["{CANARY}"]',
    "nothing": "{}",
    "nulls": '{"Plaintext": null, "CiphertextBlob": null, "KeyMetadata": null}',
    "empty": '{"Plaintext": "", "CiphertextBlob": "", "KeyMetadata": {}}',
    "no base64": '{"Plaintext": "canar", "CiphertextBlob": "canar", "KeyMetadata": {"Arn": "canar"}}',
    "numbers": '{"Plaintext": 1, "CiphertextBlob": 1, "KeyMetadata": 1}',
}


@pytest.mark.parametrize("case", ODD)
async def test_odd_answers_are_refused_and_not_shown(kms, case):
    async with answering(kms, 200, ODD[case]) as (provider, kek):
        for call in (provider.wrap(kek, KEY, b""), provider.unwrap(kek, b"x", b""), provider.newest()):
            with pytest.raises(KeyUnavailable) as caught:
                await call
            assert "Plaintext" not in str(caught.value)
            assert caught.value.__cause__ is None


async def test_without_credentials_it_is_refused(kms):
    provider = AwsKmsProvider(kms.settings)
    nothing = {name: value for name, value in DUMMY.items() if "KEY" not in name}
    with environment(nothing), pytest.raises(KeyUnavailable, match="no credentials"):
        await provider.health()
    await provider.close()


async def test_the_sdk_logs_no_key_at_any_level(kms, caplog):
    logging.getLogger("botocore").setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        provider = AwsKmsProvider(kms.settings)
        kek = await provider.newest()
        wrapped = await provider.wrap(kek, KEY, CONTEXT)
        assert await provider.unwrap(kek, wrapped, CONTEXT) == KEY
        await provider.close()
    assert KEY.decode() not in caplog.text
    assert base64.b64encode(KEY).decode()[:-2] not in caplog.text


def test_without_the_extra_the_error_says_what_to_install():
    program = (
        "import sys; sys.modules['aiobotocore'] = None\n"
        "from vault.keys.providers import build\n"
        "from vault.key_settings import AwsKmsSettings\n"
        "try:\n    build(AwsKmsSettings('alias/x', 'eu-central-1'))\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "KeyUnavailable" in done.stdout
    assert "pip install 'panless[aws-kms]'" in done.stdout


async def test_the_factory_builds_it(kms: Kms):
    provider = build(kms.settings)
    assert isinstance(provider, AwsKmsProvider)
    assert (provider.describe().provider, provider.describe().location) == ("aws-kms", f"alias/panless in {REGION}")
