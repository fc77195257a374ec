"""What gateways do to webhooks: each signed by the gateway's own SDK where there is one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from datetime import UTC, datetime, timedelta
from urllib.parse import quote_plus

import braintree
import stripe
from Adyen.util import generate_notification_sig
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from standardwebhooks import Webhook

from proxy.hosts import HostPort
from proxy.rewrite.message import Headers
from proxy.verifying.scheme import Hook

STRIPE_SECRET = "whsec_a_secret_of_stripe"
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ADYEN_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
BRAINTREE_KEY = "private_of_braintree"
WEBHOOK_ID = "9XL90610J3647323C"
PAYPAL_NAME = "messageverificationcerts.paypal.com"
PAYPAL_HOST = HostPort("api.paypal.com", 443)


def by_stripe(body: bytes, at: int, secret: str = STRIPE_SECRET) -> Headers:
    signed = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)
    return (("Stripe-Signature", signed),)


def by_standard(body: bytes, at: int, event: str = "msg_1", secret: str = STANDARD_SECRET) -> Headers:
    signed = Webhook(secret).sign(event, datetime.fromtimestamp(at, UTC), body.decode())
    return (("webhook-id", event), ("webhook-timestamp", str(at)), ("webhook-signature", signed))


def adyen_item(reference: str = "7914073381342284", key: str = ADYEN_KEY, **changes) -> dict:
    item = {
        "pspReference": reference,
        "originalReference": "",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "TestPayment-1407325143704",
        "amount": {"value": 1130, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "success": "true",
        **changes,
    }
    return {**item, "additionalData": {"hmacSignature": generate_notification_sig(item, key).decode()}}


def by_adyen(*items: dict) -> bytes:
    return json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": i} for i in items]}).encode()


def braintree_gateway(public: str = "public1", private: str = BRAINTREE_KEY) -> braintree.BraintreeGateway:
    return braintree.BraintreeGateway(
        braintree.Configuration(
            environment=braintree.Environment.Sandbox, merchant_id="m", public_key=public, private_key=private
        )
    )


def by_braintree(gateway: braintree.BraintreeGateway | None = None, subject: str = "sub_1") -> bytes:
    kind = braintree.WebhookNotification.Kind.SubscriptionWentPastDue
    sample = (gateway or braintree_gateway()).webhook_testing.sample_notification(kind, subject)
    return form(sample["bt_signature"], sample["bt_payload"].decode())


def form(signature: str, payload: str) -> bytes:
    return f"bt_signature={quote_plus(signature)}&bt_payload={quote_plus(payload)}".encode()


class Authority:
    """An authority whose certificates are as strict as those of public ones."""

    def __init__(self, about: str = "An authority"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, about)])
        self.certificate = self.issue(self.name, self.key.public_key(), x509.BasicConstraints(True, None))

    def issue(self, subject, key, constraints, *more, days: int = 30) -> x509.Certificate:
        now = datetime.now(UTC)
        is_ca = constraints.ca
        usage = x509.KeyUsage(not is_ca, False, False, False, False, is_ca, is_ca, False, False)
        builder = (
            x509.CertificateBuilder(self.name, subject, key, x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(constraints, critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for each in more:
            builder = builder.add_extension(each, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


class PayPalSigner:
    """A certificate of PayPal's, by an authority of a test's own."""

    def __init__(self, authority: Authority | None = None, name: str = PAYPAL_NAME, days: int = 30, key=None):
        self.authority = authority or Authority()
        self.name, self.days = name, days
        self.key = key or rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        none = x509.BasicConstraints(False, None)
        leaf = self.authority.issue(subject, self.key.public_key(), none, server, names, days=days)
        self.chain = leaf.public_bytes(serialization.Encoding.PEM)

    @property
    def roots(self) -> bytes:
        return self.authority.pem

    def headers(
        self, body: bytes, at: float, event: str = "d938e770-8046-11e6-8103-6b62a8a99ac4", **changes
    ) -> Headers:
        made = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        signed = f"{event}|{made}|{WEBHOOK_ID}|{zlib.crc32(body)}".encode()
        signature = self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        named = {
            "PAYPAL-TRANSMISSION-ID": event,
            "PAYPAL-TRANSMISSION-TIME": made,
            "PAYPAL-TRANSMISSION-SIG": base64.b64encode(signature).decode(),
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-CERT-URL": "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77",
            **changes,
        }
        return tuple(named.items())


def by_hmac(data: bytes, secret: bytes = b"a shared secret", algorithm: str = "sha256") -> bytes:
    return hmac.new(secret, data, getattr(hashlib, algorithm)).digest()


def hook(headers: Headers = (), body: bytes = b"", target: str = "/hooks/in", method: str = "POST") -> Hook:
    return Hook(method, target, headers, body)
