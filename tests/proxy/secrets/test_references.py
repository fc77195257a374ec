"""What is a reference to a secret, and what is refused as a secret itself, wherever it stands in a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import parse
from proxy.errors import ConfigInvalid
from proxy.secrets import Secrets, SecretUnavailable, check_reference
from proxy.settings import vault_settings
from vault.crypto.credentials import new_app_key, new_operator_key

CANARY = "CANARYcanary0123456789"
ROUTE = {"name": "a", "path": "/a/", "upstream": "https://gateway.example/"}
KV = {"address": "https://bao.example", "token": "env:T"}


@pytest.mark.parametrize(
    "reference",
    [
        "env:NAME",
        "file:/run/secrets/x",
        "file:x y",
        "transit-kv:panless/stripe#key",
        "aws-secrets:panless/stripe",
        "aws-secrets:arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-AbCdEf#key",
    ],
)
def test_these_are_references(reference):
    assert check_reference(reference) == reference


@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        "env:",
        f"vault:{CANARY}",
        f"transit-kv:{CANARY}",
        f"transit-kv:{CANARY}#",
        f"transit-kv:../{CANARY}#x",
        f"transit-kv:a/../{CANARY}#x",
        f"transit-kv:/{CANARY}#x",
        f"transit-kv:a?{CANARY}#x",
        f"aws-secrets:{CANARY}#",
        f"aws-secrets:{CANARY} x",
        f"AWS-secrets:{CANARY}",
    ],
)
def test_these_are_none_and_are_not_quoted(text):
    with pytest.raises(ValueError, match="given as") as caught:
        check_reference(text)
    assert CANARY not in str(caught.value)


def refusal(document: dict) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        parse(document, Path("/nonexistent/panless.toml"))
    assert CANARY not in f"{caught.value!r} {caught.value.ids}"
    return f"{caught.value.ids['key']}: {caught.value.ids['problem']}"


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"outbound": [ROUTE | {"credential": {"secret": CANARY}}]}, "outbound.0.credential.secret"),
        ({"database": {"url": f"postgresql://u:{CANARY}@db/x"}}, "database.url"),
        ({"database": {"url": f"postgresql://u@db/x?password={CANARY}"}}, "database.url"),
        ({"database": {"url": f"postgresql://u@db/x?p%61ssword={CANARY}"}}, "database.url"),
        ({"database": {"url": f"postgresql://u@db/x?sslpassword={CANARY}"}}, "database.url"),
        ({"database": {"url": f"postgresql://u@db/x?SSLpassword={CANARY}"}}, "database.url"),
        ({"database": {"url": "env:U", "owner_url": f"postgresql://u:{CANARY}@db/x"}}, "database.owner_url"),
        ({"database": {"url": "env:U", "auditor_url": f"postgresql://u:{CANARY}@db/x"}}, "database.auditor_url"),
        ({"outbound": [ROUTE | {"upstream": f"https://u:{CANARY}@gateway.example/"}]}, "outbound.0.upstream"),
        ({"outbound": [ROUTE | {"upstream": f"https://gateway.example/?key={CANARY}"}]}, "outbound.0.upstream"),
        ({"keys": KV | {"provider": "transit", "token": CANARY}}, "keys.token"),
        ({"keys": KV | {"provider": "transit", "address": f"https://u:{CANARY}@bao.example"}}, "keys.address"),
        ({"secrets": {"transit-kv": KV | {"token": CANARY}}}, "secrets.transit-kv.token"),
        ({"secrets": {"transit-kv": KV | {"token": "transit-kv:a#b"}}}, "secrets.transit-kv.token"),
        ({"secrets": {"transit-kv": {"address": KV["address"], "role_id": CANARY}}}, "secrets.transit-kv.role_id"),
        ({"secrets": {"transit-kv": KV | {"address": f"https://{CANARY}@bao.example"}}}, "secrets.transit-kv.address"),
        ({"secrets": {"aws-secrets": {"region": "r", "endpoint": f"https://u:{CANARY}@x"}}}, "secrets.aws-secrets"),
    ],
)
def test_a_literal_secret_is_refused_where_a_reference_belongs(document, key):
    assert refusal(document).startswith(key)


@pytest.mark.parametrize(
    "secret",
    [
        new_app_key(),
        new_operator_key(),
        f"sk_live_{CANARY}",
        f"whsec_{CANARY}",
        f"hvs.{CANARY}",
        f"s.{CANARY[:24]:X<24}",
        "AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN EC PRIVATE KEY-----",
    ],
    ids=["app", "operator", "stripe", "webhook", "vault", "openbao", "aws", "pem"],  # the keys are new ones each time
)
def test_what_looks_like_a_secret_is_refused_wherever_it_stands(secret):
    for document, key in (
        ({"keys": KV | {"provider": "transit", "namespace": secret}}, "keys.namespace"),
        ({"keys": KV | {"provider": "transit", "role_id": secret}}, "keys.role_id"),
        ({"outbound": [ROUTE | {"path": f"/{secret}/"}]}, "outbound.0.path"),
        ({"outbound": [ROUTE | {"hosts": ["x", secret]}]}, "outbound.0.hosts.1"),
    ):
        said = refusal(document)
        assert said.startswith(f"{key}: a secret stands in the configuration itself; give it as env:NAME")
        assert secret not in said


def test_a_manager_that_is_not_configured_is_named():
    said = refusal({"outbound": [ROUTE | {"credential": {"secret": "transit-kv:a#b"}}]})
    assert said.endswith("secrets: transit-kv is not configured: add [secrets.transit-kv]")


def test_fetched_secrets_show_nothing_and_tell_what_changed():
    before, after = Secrets({"env:A": "1", "env:B": CANARY}, {}), Secrets({"env:A": "2", "env:B": CANARY}, {})
    assert after.changed(before) == ["env:A"]
    assert CANARY not in f"{before} {before!r}"
    with pytest.raises(SecretUnavailable, match="env:C was not fetched"):
        before.get("env:C")


def test_the_database_and_the_key_providers_get_theirs_from_a_manager_too():
    document = {
        "secrets": {"transit-kv": KV},
        "database": {"url": "transit-kv:panless/db#url"},
        "keys": {"provider": "pkcs11", "module": "x.so", "token": "t", "pin": "transit-kv:panless/hsm#pin"},
    }
    config = parse(document, Path("/nonexistent/panless.toml"))
    fetched = [Secrets({"transit-kv:panless/db#url": "postgresql:///one", "transit-kv:panless/hsm#pin": "old"}, {})]
    settings = vault_settings(config, lambda: fetched[-1])
    assert settings.urls == {"proxy": "postgresql:///one"}
    pin = settings.providers[0].pin
    assert pin() == "old"
    fetched.append(Secrets({"transit-kv:panless/hsm#pin": "new"}, {}))
    assert pin() == "new"  # it is looked up whenever the HSM is signed in to
    with pytest.raises(ConfigInvalid, match=r"database\.url: transit-kv:panless/db#url was not fetched"):
        vault_settings(config, lambda: fetched[-1])
