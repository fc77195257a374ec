"""What a webhook route may say; what is wrong is named by its key, and no secret is shown."""

from __future__ import annotations

import tomllib

import pytest

from proxy.config import load
from proxy.errors import ConfigInvalid
from proxy.hooking import compile_webhooks, fetching_settings
from proxy.secrets import LocalSecrets
from proxy.webhook_routes import WebhookRoute
from tests.harness import gateways
from tests.harness.hooked import routes, write


@pytest.fixture(scope="module")
def text() -> str:
    return 'data_dir = "data"\n[listen]\ninbound = { bind = "127.0.0.1:0" }\n' + routes(
        "http://127.0.0.1:1", "localhost"
    )


@pytest.fixture
def compiled(tmp_path):
    (tmp_path / "roots.pem").write_bytes(gateways.Authority().pem)

    def compile_(changed: str) -> dict[str, WebhookRoute]:
        file = write(tmp_path, "")
        file.write_text(changed)
        config = load(file)
        fetching_settings(config)
        return {each.route.name: each.route for each in compile_webhooks(config, LocalSecrets(tmp_path))}

    return compile_


def test_every_scheme_compiles(text, compiled):
    found = compiled(text)
    assert {name: route.verifier.timed for name, route in found.items()} == {
        "stripe": True, "refusing": True, "passing": True, "standard": True, "hmac": True, "adyen": False,
        "braintree": False, "paypal": True,
    }  # fmt: skip
    assert found["stripe"].guard == "tokenize" and found["passing"].passes
    assert found["stripe"].methods == {"POST"} and found["braintree"].methods == {"GET", "POST"}
    assert not any(secret in repr(found) for secret in (gateways.STRIPE_SECRET, gateways.BRAINTREE_KEY, "a shared"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('scheme = "adyen"', 'scheme = "other"', "webhook.5.verify.scheme: unknown"),
        ('secret = "file:adyen"', 'secret = "file:nothing"', "webhook.5.verify.secret: file "),
        (
            'secret = "file:adyen"',
            'secret = "file:standard"',
            "webhook.5.verify.secret: a secret is not written in hex",
        ),
        ('secret = "file:adyen"', "secret = []", "webhook.5.verify.adyen.secret"),
        ('secret = "file:adyen"', 'secret = "44782DEF547AAA06C910C43932B1EB0C71FC68"', "webhook.5.verify.adyen.secret"),
        ('secret = "file:signing"', 'secret = "file:hmac"', "webhook.0.sign.secret: a secret is whsec_"),
        ('mode = "pass"', 'mode = "pass"\norder = "$.id"', "webhook.2: sign and order are for mode"),
        ('"timestamp", "text:.", "body"', '"timestamp", "text:."', "webhook.4.verify.hmac: parts: body has to be"),
        ('"timestamp", "text:.", "body"', '"text:.", "body"', "webhook.4.verify.hmac: parts: timestamp has to be"),
        ('id = "$.id"', 'id = "header:X-Id"', "webhook.4.verify.hmac: id: its header has to be among the parts"),
        ('id = "$.id"', 'id = "$..id"', "webhook.4.verify.hmac.id"),
        ('"text:.", "body"', '"text:.", "header:X-A", "body"', "there has to be a text:"),
        ('header = "X-Sig"', 'header = "X-Sig", timestamp_unit = "iso8601", window_seconds = 0', "window_seconds"),
        ('ca = "roots.pem"', 'ca = "hmac"', "ca"),
        ('hosts = ["localhost"]', 'hosts = ["https://x"]', "webhook.7.verify.paypal.hosts.0"),
        ('path     = "/hooks/adyen"', 'path     = "/hooks/hmac"', "overlap"),
        ('path = "/"', 'path = "/hooks/hmac"', "overlap"),
        ('name     = "adyen"', 'name     = "hmac"', "two routes are named hmac"),
        ('public_key = "public1"', 'public_key = ["public1", "public2"]', "there has to be one for each secret"),
        ('mode = "pass"', "keep_days = 0", "webhook.2.keep_days"),
        ('guard = "refuse"', 'guard = "refuse"\nmethods = ["GET"]', "webhook.1.methods"),
        ('guard = "refuse"', 'apps = ["shop"]', "webhook.1.apps"),
    ],
)
def test_what_is_wrong_is_named(text, compiled, old, new, told):
    assert old in text
    with pytest.raises(ConfigInvalid) as caught:
        compiled(text.replace(old, new, 1))
    assert told in str(caught.value)
    assert gateways.STANDARD_SECRET not in str(caught.value) and "44782DEF" not in str(caught.value)


def test_an_event_is_remembered_longer_than_its_signature_counts(text, compiled):
    old = 'scheme = "standard-webhooks"'
    long = text.replace(old, f"{old}, window_seconds = 86400", 1)
    assert compiled(long)
    with pytest.raises(ConfigInvalid, match="keep_days"):
        compiled(
            long.replace(
                'upstream = "http://127.0.0.1:1/in/standard"', 'upstream = "http://127.0.0.1:1/"\nkeep_days = 1'
            )
        )


def test_examples_of_the_page_are_right(compiled):
    """Every row of the table of schemes, as a newcomer would copy it."""
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("|") and "{ scheme" in line]
    assert len(rows) == 9
    for number, verify in enumerate(rows):
        secret = "file:adyen" if "hex" in verify or "adyen" in verify else "file:standard"
        told = verify.replace("env:...", secret).replace('public_key = "..."', 'public_key = "abc"')
        told = told.replace('webhook_id = "..."', 'webhook_id = "1AA", ca = "roots.pem"')
        route = f'[[webhook]]\nname = "n{number}"\npath = "/x"\nupstream = "http://127.0.0.1:1/"\nverify = {told}\n'
        assert tomllib.loads(route)
        assert compiled(route)
