"""Secrets of a real OpenBao (KV version 2), and of a stand-in of AWS Secrets Manager."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiobotocore.session import get_session

from proxy.config import Config, parse
from proxy.fetching import fetch
from proxy.secrets import SecretUnavailable
from tests.harness import kms
from tests.harness.openbao import OpenBao, running

VALUE = "sandbox value of the gateway"


@pytest.fixture(scope="module")
async def bao(tmp_path_factory):
    async with running(tmp_path_factory.mktemp("kv")) as server:
        await server.mount_kv()
        await server.call("POST", "secret/data/pay/stripe", {"data": {"key": VALUE, "number": 1, "empty": ""}})
        yield server


@pytest.fixture(scope="module")
async def aws():
    with kms.serving() as server:
        yield server


def config(folder: Path, managers: dict, *references: str) -> Config:
    routes = [
        {
            "name": f"r{number}",
            "path": f"/{number}/",
            "upstream": "http://127.0.0.1:1",
            "credential": {"secret": reference},
        }
        for number, reference in enumerate(references)
    ]
    return parse({"secrets": managers, "outbound": routes}, folder / "panless.toml")


def kv(bao: OpenBao, **changes) -> dict:
    return {"transit-kv": {"address": bao.url, "ca": str(bao.ca), "token": "file:token", **changes}}


async def refusal(given: Config, reference: str) -> str:
    secrets = await fetch(given)
    with pytest.raises(SecretUnavailable) as caught:
        secrets.get(reference)
    assert VALUE not in str(caught.value)
    return str(caught.value)


async def test_fields_of_kv_are_fetched_each_path_once(bao, tmp_path):
    (tmp_path / "token").write_text(bao.root)
    reference = "transit-kv:pay/stripe#key"
    assert (await fetch(config(tmp_path, kv(bao), reference, reference))).get(reference) == VALUE


async def test_what_kv_does_not_give_is_named_by_its_place(bao, tmp_path):
    (tmp_path / "token").write_text(bao.root)
    for reference, said in {
        "transit-kv:pay/nobody#key": "transit-kv:pay/nobody cannot be read: the server refuses it (status 404)",
        "transit-kv:pay/stripe#other": "transit-kv:pay/stripe has no text in other",
        "transit-kv:pay/stripe#number": "transit-kv:pay/stripe has no text in number",
        "transit-kv:pay/stripe#empty": "transit-kv:pay/stripe has no text in empty",
    }.items():
        assert await refusal(config(tmp_path, kv(bao), reference), reference) == said


async def test_an_approle_with_one_policy_reads_that_and_nothing_else(bao, tmp_path):
    policy = 'path "secret/data/pay/*" { capabilities = ["read"] }'
    await bao.call("PUT", "sys/policies/acl/panless-kv", {"policy": policy})
    await bao.call("POST", "sys/auth/approle", {"type": "approle"})
    await bao.call("POST", "auth/approle/role/panless", {"token_policies": ["panless-kv"], "token_ttl": "1h"})
    await bao.call("POST", "secret/data/others", {"data": {"key": VALUE}})
    role = await bao.call("GET", "auth/approle/role/panless/role-id")
    secret = await bao.call("POST", "auth/approle/role/panless/secret-id")
    (tmp_path / "role").write_text(role["data"]["role_id"])
    (tmp_path / "secret").write_text(secret["data"]["secret_id"])
    managers = kv(bao, role_id="file:role", secret_id="file:secret")
    del managers["transit-kv"]["token"]
    given = config(tmp_path, managers, "transit-kv:pay/stripe#key", "transit-kv:others#key")
    assert (await fetch(given)).get("transit-kv:pay/stripe#key") == VALUE
    assert "status 403" in await refusal(given, "transit-kv:others#key")


async def test_a_server_that_is_away_or_not_trusted_gives_nothing(bao, tmp_path):
    (tmp_path / "token").write_text(bao.root)
    reference = "transit-kv:pay/stripe#key"
    away = kv(bao, address="http://127.0.0.1:1", timeout_seconds=2)
    assert "the connection failed" in await refusal(config(tmp_path, away, reference), reference)
    untrusted = kv(bao)
    del untrusted["transit-kv"]["ca"]
    assert "certificate cannot be verified" in await refusal(config(tmp_path, untrusted, reference), reference)
    (tmp_path / "token").unlink()
    assert "token cannot be read" in await refusal(config(tmp_path, kv(bao), reference), reference)


async def test_secrets_of_aws_whole_or_one_field(aws, tmp_path):
    managers = {"aws-secrets": {"region": kms.REGION, "endpoint": aws.url}}
    async with get_session().create_client("secretsmanager", region_name=kms.REGION, endpoint_url=aws.url) as admin:
        await admin.create_secret(Name="panless/plain", SecretString=VALUE)
        await admin.create_secret(Name="panless/fields", SecretString=json.dumps({"key": VALUE, "number": 1}))
        await admin.create_secret(Name="panless/binary", SecretBinary=b"x")
    good = ("aws-secrets:panless/plain", "aws-secrets:panless/fields#key")
    secrets = await fetch(config(tmp_path, managers, *good))
    assert [secrets.get(each) for each in good] == [VALUE, VALUE]
    for reference, said in {
        "aws-secrets:panless/nobody": "aws-secrets:panless/nobody cannot be read: ResourceNotFoundException",
        "aws-secrets:panless/plain#key": "the secret has no text in that field",
        "aws-secrets:panless/fields#other": "the secret has no text in that field",
        "aws-secrets:panless/fields#number": "the secret has no text in that field",
        "aws-secrets:panless/binary": "aws-secrets:panless/binary holds no text",
    }.items():
        assert said in await refusal(config(tmp_path, managers, reference), reference)
    away = {"aws-secrets": {"region": kms.REGION, "endpoint": "http://127.0.0.1:1", "timeout_seconds": 1}}
    assert "cannot be read" in await refusal(config(tmp_path, away, good[0]), good[0])
