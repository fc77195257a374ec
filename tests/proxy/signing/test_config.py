"""The configuration of signing: what is taken, what is refused, and that the documents' examples are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.compiled import compile_outbound
from proxy.config import load
from proxy.errors import ConfigInvalid
from proxy.signing.scheme import Scheme

ROOT = Path(__file__).parents[3]
ROUTE = '[[outbound]]\nname = "a"\npath = "/a"\nupstream = "https://api.example/"\n'
SECRETS = 'app_secret = "env:APP", secret = "env:GATEWAY"'


def compiled(folder: Path, signing: str) -> Scheme | None:
    file = folder / "panless.toml"
    file.write_text(ROUTE + signing)
    (route,) = compile_outbound(load(file))
    return route.signing


def examples() -> list[str]:
    text = (ROOT / "docs" / "signing.md").read_text()
    commented = (ROOT / "config" / "panless.example.toml").read_text()
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL) + re.findall(r"# (signing = .*)", commented)


@pytest.mark.parametrize("example", examples())
def test_examples_of_the_documents_are_right(tmp_path, monkeypatch, example):
    for name in re.findall(r"env:(\w+)", example):
        monkeypatch.setenv(name, "c2VjcmV0")
    scheme = compiled(tmp_path, example)
    assert scheme is not None
    assert scheme.secrets.app == (b"secret" if 'base64"' in example.partition("secret_encoding")[2] else b"c2VjcmV0")


def test_there_is_one_example_for_each_scheme():
    named = [re.search(r'scheme +?= "(\w+)"', example) for example in examples()]
    assert {each[1] for each in named if each} == {"cavage", "rfc9421", "jwt", "hmac"}


@pytest.mark.parametrize(
    "signing",
    [
        'scheme = "none"',
        'scheme = "cavage", algorithm = "none"',
        'scheme = "cavage", max_age = -1',
        'scheme = "cavage", key_id = "quote\\""',
        'scheme = "jwt"',
        'scheme = "jwt", claim = "d", algorithm = "none"',
        'scheme = "jwt", claim = "d", digest = "md5"',
        'scheme = "hmac", header = "X-S"',
        'scheme = "hmac", header = "X-S", parts = ["path"]',
        'scheme = "hmac", header = "X-S", parts = ["body", "nonsense"]',
        'scheme = "hmac", header = "X-S", parts = ["body", "header:x-s"]',
        'scheme = "hmac", header = "X-S", parts = ["body"], timestamp = "X-T"',
        'scheme = "rfc9421", label = "Not A Label"',
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path, monkeypatch, signing):
    monkeypatch.setenv("APP", "x")
    monkeypatch.setenv("GATEWAY", "x")
    with pytest.raises(ConfigInvalid) as caught:
        compiled(tmp_path, f"signing = {{ {signing}, {SECRETS} }}")
    assert str(caught.value.ids["key"]).startswith("outbound.0.signing")


@pytest.mark.parametrize(("encoding", "secret"), [("base64", "no base64!"), ("hex", "xyz"), ("base64", "\u00e9")])
def test_secret_in_the_wrong_encoding_is_refused_and_not_shown(tmp_path, monkeypatch, encoding, secret):
    monkeypatch.setenv("APP", secret)
    monkeypatch.setenv("GATEWAY", secret)
    with pytest.raises(ConfigInvalid) as caught:
        compiled(tmp_path, f'signing = {{ scheme = "cavage", secret_encoding = "{encoding}", {SECRETS} }}')
    assert secret not in str(caught.value)
    assert caught.value.ids["key"] == "outbound.0.signing"


@pytest.mark.parametrize("missing", ["APP", "GATEWAY"])
def test_missing_secret_is_named(tmp_path, monkeypatch, missing):
    monkeypatch.setenv({"APP": "GATEWAY", "GATEWAY": "APP"}[missing], "x")
    monkeypatch.delenv(missing, raising=False)
    with pytest.raises(ConfigInvalid) as caught:
        compiled(tmp_path, f'signing = {{ scheme = "cavage", {SECRETS} }}')
    expected = {"APP": "app_secret", "GATEWAY": "secret"}[missing]
    assert caught.value.ids["key"] == f"outbound.0.signing.{expected}"


def test_secret_may_not_stand_in_the_configuration(tmp_path):
    with pytest.raises(ConfigInvalid) as caught:
        compiled(tmp_path, 'signing = { scheme = "cavage", app_secret = "hunter2", secret = "env:X" }')
    assert "hunter2" not in str(caught.value)
