"""Signatures that others have published, and those of the gateways' own SDKs."""

from __future__ import annotations

import base64
import time

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.verifying.adyen import Adyen
from proxy.verifying.braintree import Braintree, KeyPair
from proxy.verifying.errors import WebhookForged, WebhookMalformed
from proxy.verifying.hmac_of_parts import HmacWebhook
from proxy.verifying.paypal import PayPal
from proxy.verifying.standard import StandardWebhooks, secret_bytes, signed_headers
from proxy.verifying.stripe import Stripe
from tests.harness import gateways
from tests.harness.gateways import ADYEN_KEY, BRAINTREE_KEY, STANDARD_SECRET, hook

NOW = 1_700_000_000

# The example of the reference implementations of Standard Webhooks.
EXAMPLE = b'{"test": 2432232314}'
EXAMPLE_HEADERS = (
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("webhook-timestamp", "1614265330"),
    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
)


def test_standard_webhooks_example():
    verifier = StandardWebhooks((secret_bytes(STANDARD_SECRET),))
    assert verifier.verify(hook(EXAMPLE_HEADERS, EXAMPLE), 1614265330 + 10) == "id:msg_p5jXN8AQM9LWM0D4loKWxJek"
    svix = tuple((name.replace("webhook", "svix"), value) for name, value in EXAMPLE_HEADERS)
    older = StandardWebhooks((secret_bytes(STANDARD_SECRET),), prefix="svix-")
    assert older.verify(hook(svix, EXAMPLE), 1614265330) == "id:msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_what_panless_signs_the_library_of_standard_webhooks_verifies():
    now = int(time.time())
    other = "whsec_" + base64.b64encode(b"another secret of 32 bytes, new.").decode()
    made = signed_headers("whe_1", now, EXAMPLE, [secret_bytes(STANDARD_SECRET), secret_bytes(other)])
    for secret in (STANDARD_SECRET, other):
        assert standardwebhooks.Webhook(secret).verify(EXAMPLE, dict(made)) == {"test": 2432232314}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(other).verify(EXAMPLE, dict(made[:2]) | {"webhook-signature": made[2][1].split()[0]})


def test_ed25519_of_standard_webhooks():
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = "whpk_" + base64.b64encode(key.public_key().public_bytes_raw()).decode()
    verifier = StandardWebhooks((), (secret_bytes(public),))
    signature = base64.b64encode(key.sign(f"msg_1.{NOW}.".encode() + EXAMPLE)).decode()
    headers = (("webhook-id", "msg_1"), ("webhook-timestamp", str(NOW)), ("webhook-signature", f"v1a,{signature}"))
    assert verifier.verify(hook(headers, EXAMPLE), NOW) == "id:msg_1"
    with pytest.raises(WebhookForged):
        verifier.verify(hook(headers, EXAMPLE + b" "), NOW)


def test_a_public_key_makes_no_mac():
    """Whoever knows the public key could sign with it if it were taken for a secret."""
    public = bytes(range(32))
    headers = signed_headers("msg_1", NOW, EXAMPLE, [public])
    with pytest.raises(WebhookForged):
        StandardWebhooks((), (public,)).verify(hook(headers, EXAMPLE), NOW)


def test_stripes_sdk():
    body = b'{"id": "evt_1", "object": "event"}'
    verifier = Stripe((gateways.STRIPE_SECRET.encode(),))
    assert verifier.verify(hook(gateways.by_stripe(body, NOW), body), NOW) == "id:evt_1"


# https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures
ADYENS = b"""{"live": "false", "notificationItems": [{"NotificationRequestItem": {
  "additionalData": {"hmacSignature": "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
  "amount": {"value": 1130, "currency": "EUR"}, "pspReference": "7914073381342284", "eventCode": "AUTHORISATION",
  "eventDate": "2019-05-06T17:15:34.121+02:00", "merchantAccountCode": "TestMerchant", "operations": ["CANCEL"],
  "merchantReference": "TestPayment-1407325143704", "paymentMethod": "visa", "success": "true"}}]}"""


def test_adyens_example():
    verifier = Adyen((bytes.fromhex(ADYEN_KEY),))
    found = verifier.verify(hook(body=ADYENS), NOW)
    assert found == verifier.verify(hook(body=gateways.by_adyen(gateways.adyen_item())), NOW)


def test_braintrees_sdk():
    verifier = Braintree((KeyPair("public1", BRAINTREE_KEY.encode()),))
    assert verifier.verify(hook(body=gateways.by_braintree()), NOW).startswith("sha256:")
    challenge = "20f9f8ed05f77439fe955c977e4c8a53"
    expected = gateways.braintree_gateway().webhook_notification.verify(challenge)
    assert verifier.challenge(hook(target=f"/in?bt_challenge={challenge}", method="GET")) == expected
    assert verifier.challenge(hook(body=gateways.by_braintree())) is None


def test_an_answered_challenge_is_no_webhook():
    """Everybody can have a challenge signed."""
    verifier = Braintree((KeyPair("public1", BRAINTREE_KEY.encode()),))
    challenge = "20f9f8ed05f77439fe955c977e4c8a53"
    signed = verifier.challenge(hook(target=f"/in?bt_challenge={challenge}", method="GET"))
    with pytest.raises(WebhookMalformed):
        verifier.verify(hook(body=gateways.form(signed, challenge)), NOW)


def test_paypals_way():
    signer = gateways.PayPalSigner()
    now = time.time()
    body = b'{"id": "WH-9UG43882HX7271132-6E0871324L7949614"}'
    verifier = PayPal(gateways.WEBHOOK_ID, frozenset([gateways.PAYPAL_HOST]), (gateways.PAYPAL_NAME,), signer.roots)
    came = hook(signer.headers(body, now), body)
    assert verifier.certificate_at(came, now).path.startswith("/v1/notifications/certs/CERT-")
    assert verifier.verify(came, now, signer.chain) == "id:d938e770-8046-11e6-8103-6b62a8a99ac4"


# GitHub's documented example of X-Hub-Signature-256.
def test_githubs_example():
    verifier = HmacWebhook((b"It's a Secret to Everybody",), "X-Hub-Signature-256", prefix="sha256=")
    signed = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert verifier.verify(hook((("X-Hub-Signature-256", signed),), b"Hello, World!"), NOW).startswith("sha256:")
    assert not verifier.timed


def test_url_and_body_as_square_signs_them():
    url, body = "https://pay.example/hooks/in?a=b", b'{"event_id": "e-1"}'
    verifier = HmacWebhook((b"k",), "X-Sig", ("url", "body"), encoding="base64", url=url)
    signature = base64.b64encode(gateways.by_hmac(url.encode() + body, b"k")).decode()
    headers = (("x-sig", signature),)
    assert verifier.verify(hook(headers, body, "/hooks/in?a=b"), NOW)
    with pytest.raises(WebhookMalformed):
        verifier.verify(hook(headers, body, "/hooks/in?a=b{"), NOW)
