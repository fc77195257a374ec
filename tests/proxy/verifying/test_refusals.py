"""What is forged, altered, stale, unsigned or said twice is refused, by every scheme."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.verifying.adyen import Adyen
from proxy.verifying.braintree import Braintree, KeyPair
from proxy.verifying.errors import WebhookForged, WebhookMalformed, WebhookRejected, WebhookStale, WebhookUnsigned
from proxy.verifying.hmac_of_parts import HmacWebhook
from proxy.verifying.paypal import PayPal
from proxy.verifying.picking import Pick
from proxy.verifying.scheme import Hook, Verifier
from proxy.verifying.standard import StandardWebhooks, secret_bytes, signed_headers
from proxy.verifying.stripe import Stripe
from tests.harness import gateways
from tests.harness.gateways import hook

NOW = int(time.time())
BODY = b'{"id":"evt_1","type":"charge.succeeded","data":{"object":{"id":"ch_1","amount":100}}}'
SIGNER = gateways.PayPalSigner()
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@dataclass(frozen=True)
class Scheme:
    """A verifier and a webhook that it takes. `covered`: the headers of which each byte counts."""

    verifier: Verifier
    hook: Hook
    covered: tuple[str, ...] = ()
    certificate: bytes = b""

    def verify(self, changed: Hook | None = None, now: float = NOW) -> str:
        return self.verifier.verify(changed or self.hook, now, self.certificate)

    def with_header(self, name: str, *values: str) -> Hook:
        others = [each for each in self.hook.headers if each[0].lower() != name.lower()]
        return replace(self.hook, headers=(*others, *((name, value) for value in values)))

    def header(self, name: str) -> str:
        return dict(self.hook.headers)[name]


def _ed25519() -> Scheme:
    signature = base64.b64encode(ED25519.sign(f"msg_1.{NOW}.".encode() + BODY)).decode()
    headers = (("webhook-id", "msg_1"), ("webhook-timestamp", str(NOW)), ("webhook-signature", f"v1a,{signature}"))
    verifier = StandardWebhooks((), (ED25519.public_key().public_bytes_raw(),))
    return Scheme(verifier, hook(headers, BODY), tuple(name for name, _ in headers))


def _hmac(encoding: str = "hex", **options) -> Scheme:
    options = {"parts": ("timestamp", "text:.", "header:X-Id", "text:.", "body"), "timestamp": "X-Time"} | options
    at = NOW * 1000 if options.get("unit") == "milliseconds" else NOW
    signed = gateways.by_hmac(f"{at}.e-1.".encode() + BODY)
    text = signed.hex() if encoding == "hex" else base64.b64encode(signed).decode()
    headers = (("X-Sig", f"v0={text}"), ("X-Time", str(at)), ("X-Id", "e-1"))
    verifier = HmacWebhook(
        (b"a shared secret",), "X-Sig", encoding=encoding, prefix="v0=", id=Pick("header:X-Id"), **options
    )
    return Scheme(verifier, hook(headers, BODY), ("X-Sig", "X-Time", "X-Id"))


SCHEMES = {
    "stripe": Scheme(
        Stripe((gateways.STRIPE_SECRET.encode(),)),
        hook(gateways.by_stripe(BODY, NOW), BODY),
        ("Stripe-Signature",),
    ),
    "standard": Scheme(
        StandardWebhooks((secret_bytes(gateways.STANDARD_SECRET),)),
        hook(gateways.by_standard(BODY, NOW), BODY),
        ("webhook-id", "webhook-timestamp", "webhook-signature"),
    ),
    "ed25519": _ed25519(),
    "hmac": _hmac(),
    "hmac-base64-milliseconds": _hmac("base64", unit="milliseconds"),
    "braintree": Scheme(
        Braintree((KeyPair("public1", gateways.BRAINTREE_KEY.encode()),)), hook(body=gateways.by_braintree())
    ),
    "adyen": Scheme(
        Adyen((bytes.fromhex(gateways.ADYEN_KEY),)),
        hook(body=gateways.by_adyen(gateways.adyen_item())),
    ),
    "paypal": Scheme(
        PayPal(gateways.WEBHOOK_ID, frozenset([gateways.PAYPAL_HOST]), (gateways.PAYPAL_NAME,), SIGNER.roots),
        hook(SIGNER.headers(BODY, NOW), BODY),
        ("PAYPAL-TRANSMISSION-ID", "PAYPAL-TRANSMISSION-TIME", "PAYPAL-TRANSMISSION-SIG", "PAYPAL-AUTH-ALGO"),
        SIGNER.chain,
    ),
}
TIMED = [name for name, scheme in SCHEMES.items() if scheme.verifier.timed]
WHOLE = [name for name in SCHEMES if name != "adyen"]


@pytest.fixture(params=SCHEMES)
def scheme(request) -> Scheme:
    return SCHEMES[request.param]


def test_what_the_gateway_signed_is_taken_and_known_again(scheme):
    assert scheme.verify() == scheme.verify()


@pytest.mark.parametrize("name", WHOLE)
def test_every_flipped_bit_of_the_body_is_refused(name):
    scheme = SCHEMES[name]
    for place in range(len(scheme.hook.body)):
        flipped = bytearray(scheme.hook.body)
        flipped[place] ^= 1 << (place % 8)
        if name == "braintree" and parse_qs(flipped.decode("latin-1")) == parse_qs(scheme.hook.body.decode()):
            continue  # %2b is %2B
        with pytest.raises(WebhookRejected):
            scheme.verify(replace(scheme.hook, body=bytes(flipped)))


@pytest.mark.parametrize("name", [name for name, scheme in SCHEMES.items() if scheme.covered])
def test_every_changed_character_of_the_headers_is_refused(name):
    scheme = SCHEMES[name]
    for header in scheme.covered:
        value = scheme.header(header)
        for place, old in enumerate(value):
            for new in {"0", "1", "a", "A", "="} - {old}:
                changed = value[:place] + new + value[place + 1 :]
                with pytest.raises(WebhookRejected):
                    scheme.verify(scheme.with_header(header, changed))


@pytest.mark.parametrize("name", [name for name, scheme in SCHEMES.items() if scheme.covered])
def test_headers_that_are_missing_or_there_twice_are_refused(name):
    scheme = SCHEMES[name]
    for header in scheme.covered:
        value = scheme.header(header)
        with pytest.raises(WebhookUnsigned):
            scheme.verify(scheme.with_header(header))
        for twice in ((value, value), ("", value), (value, "x")):
            with pytest.raises(WebhookMalformed):
                scheme.verify(scheme.with_header(header, *twice))
        with pytest.raises(WebhookRejected):
            scheme.verify(scheme.with_header(header, f"{value}, {value}"))


@pytest.mark.parametrize("name", TIMED)
def test_the_window_is_closed_on_both_sides(name):
    scheme = SCHEMES[name]
    for inside in (-300, 300):
        assert scheme.verify(now=NOW + inside)
    for outside in (-301, 301, 86400 * 365):
        with pytest.raises(WebhookStale):
            scheme.verify(now=NOW + outside)


def test_two_secrets_during_a_rotation():
    old, new, others = b"whsec_old_secret", b"whsec_new_secret", b"whsec_other_secret"
    verifier = Stripe((old, new))
    for secret in (old, new):
        assert verifier.verify(hook(gateways.by_stripe(BODY, NOW, secret.decode()), BODY), NOW) == "id:evt_1"
    with pytest.raises(WebhookForged):
        verifier.verify(hook(gateways.by_stripe(BODY, NOW, others.decode()), BODY), NOW)
    pairs = tuple(KeyPair(name, name.encode()) for name in ("one", "two"))
    for name in ("one", "two"):
        body = gateways.by_braintree(gateways.braintree_gateway(name, name))
        assert Braintree(pairs).verify(hook(body=body), NOW)
    with pytest.raises(WebhookForged):  # the right secret under another's name
        Braintree(pairs).verify(hook(body=gateways.by_braintree(gateways.braintree_gateway("one", "two"))), NOW)


def test_one_right_signature_among_several_is_enough():
    scheme = SCHEMES["stripe"]
    value = scheme.header("Stripe-Signature")
    rolled = (
        value.replace("v1=", f"v1={'0' * 64},v1=")
        + ",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"
    )
    assert scheme.verify(scheme.with_header("Stripe-Signature", rolled)) == "id:evt_1"
    standard = SCHEMES["standard"]
    value = standard.header("webhook-signature")
    both = f"v1,{'A' * 43}= v2,something {value}"
    assert standard.verify(standard.with_header("webhook-signature", both)) == "id:msg_1"


MAC = "0" * 64


@pytest.mark.parametrize(
    "value",
    ["", "t=1", "t=NOW", "v1=MAC", "t=NOW,t=NOW,v1=MAC", "t=NOW,v1=", "t=-1,v1=MAC", "t=NOW ,v1=MAC", "t=+NOW,v1=MAC",
     "t=NOW,v0=MAC", "nonsense", "t=" + "9" * 5000, "t=NOW," + ",".join(["v1=MAC"] * 17)],
    ids=[f"header{number}" for number in range(13)],
)  # fmt: skip
def test_stripe_headers_that_are_none(value):
    scheme = SCHEMES["stripe"]
    with pytest.raises(WebhookRejected):
        scheme.verify(scheme.with_header("Stripe-Signature", value.replace("NOW", str(NOW)).replace("MAC", MAC)))


def test_a_right_stripe_signature_with_a_second_time_is_refused():
    scheme = SCHEMES["stripe"]
    value = scheme.header("Stripe-Signature")
    for twice in (f"{value},t={NOW + 1}", f"t={NOW + 1},{value}", f"{value},t={NOW}"):
        with pytest.raises(WebhookMalformed):
            scheme.verify(scheme.with_header("Stripe-Signature", twice))


def test_a_piece_of_the_body_cannot_become_a_piece_of_the_id():
    secret = secret_bytes(gateways.STANDARD_SECRET)
    moved = signed_headers("msg", NOW, f"{NOW}.".encode() + BODY, [secret])
    changed = (("webhook-id", f"msg.{NOW}"), *moved[1:])
    with pytest.raises(WebhookMalformed):
        StandardWebhooks((secret,)).verify(hook(changed, BODY), NOW)
    scheme = SCHEMES["hmac"]
    first, _, rest = BODY.partition(b",")
    with pytest.raises(WebhookRejected):
        scheme.verify(replace(scheme.with_header("X-Id", "e-1." + first.decode()), body=rest))
    body = b"x.y"
    signature = gateways.by_hmac(f"{NOW}.e-1.".encode() + body).hex()
    headers = (("X-Sig", f"v0={signature}"), ("X-Time", str(NOW)), ("X-Id", "e-1.x"))
    with pytest.raises(WebhookMalformed):
        scheme.verify(hook(headers, b"y"))


class TestAdyen:
    verifier = Adyen((bytes.fromhex(gateways.ADYEN_KEY),))

    @pytest.mark.parametrize(
        "change",
        [
            {"pspReference": "other"},
            {"originalReference": "1"},
            {"merchantAccountCode": "Other"},
            {"merchantReference": "other"},
            {"amount": {"value": 1131, "currency": "EUR"}},
            {"amount": {"value": 1130, "currency": "USD"}},
            {"eventCode": "REFUND"},
            {"success": "false"},
            {"success": True, "eventCode": "REFUND"},
            {"amount": {"value": 1130.0, "currency": "EUR"}},
        ],
    )
    def test_one_changed_field_is_refused(self, change):
        item = {**gateways.adyen_item("1"), **change}
        with pytest.raises(WebhookForged):
            self.verifier.verify(hook(body=gateways.by_adyen(item)), NOW)

    def test_an_item_without_a_signature_is_refused(self):
        for unsigned in ({}, {"hmacSignature": ""}, None):
            item = {**gateways.adyen_item("2"), "additionalData": unsigned}
            with pytest.raises(WebhookUnsigned):
                self.verifier.verify(hook(body=gateways.by_adyen(item)), NOW)

    def test_fields_that_stand_twice_are_refused(self):
        body = gateways.by_adyen(gateways.adyen_item())
        for twice in (
            body.replace(b'"success": "true"', b'"success": "true", "success": "false"'),
            body.replace(b'"success": "true"', b'"success": "false", "succes\\u0073": "true"'),
            body.replace(b'{"live"', b'{"notificationItems": [], "live"'),
        ):
            assert twice != body
            with pytest.raises(WebhookMalformed):
                self.verifier.verify(hook(body=twice), NOW)

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"{}", b'{"notificationItems": []}', b'{"notificationItems": [{}]}', b"[" * 100_000, b"\xff",
         b'{"notificationItems": [{"NotificationRequestItem": {}, "more": 1}]}', b'{"a": NaN}'],
    )  # fmt: skip
    def test_what_is_no_notification_is_refused(self, body):
        with pytest.raises(WebhookRejected):
            self.verifier.verify(hook(body=body), NOW)

    def test_a_colon_cannot_move_between_fields(self):
        signed = gateways.adyen_item(merchantReference="order:7")
        moved = {**signed, "merchantAccountCode": "TestMerchant:order", "merchantReference": "7"}
        assert self.verifier.verify(hook(body=gateways.by_adyen(signed)), NOW)
        with pytest.raises(WebhookMalformed):
            self.verifier.verify(hook(body=gateways.by_adyen(moved)), NOW)


@pytest.mark.parametrize(
    "body",
    [b"", b"bt_payload=abc", b"bt_signature=a|b", b"bt_signature=a%7Cb&bt_payload=", b"%ff=1&=2", b"nonsense"],
)
def test_braintree_forms_that_are_none(body):
    with pytest.raises(WebhookRejected):
        SCHEMES["braintree"].verify(hook(body=body))


def test_braintree_fields_that_stand_twice_are_refused():
    body = SCHEMES["braintree"].hook.body
    for more in (b"&bt_payload=abc", b"&bt_signature=a%7Cb", b"&other=1", b"&bt%5Fpayload=x"):
        with pytest.raises(WebhookMalformed):
            SCHEMES["braintree"].verify(hook(body=body + more))


class TestPayPal:
    scheme = SCHEMES["paypal"]

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
            "https://evil.example/v1/notifications/certs/CERT-1",
            "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
            "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
            "https://api.paypal.com/v1/notifications/certs/../../evil",
            "https://api.paypal.com/v1/notifications/certs/CERT-1?to=evil",
            "https://api.paypal.com/v1/notifications/certs/CERT-1#x",
            "https://api.paypal.com\\.evil.example/v1/notifications/certs/CERT-1",
            "https://api.paypal.com/evil",
            "https://127.0.0.1/v1/notifications/certs/CERT-1",
        ],
    )
    def test_a_certificate_from_elsewhere_is_not_even_fetched(self, url):
        with pytest.raises(WebhookForged):
            self.scheme.verifier.certificate_at(self.scheme.with_header("PAYPAL-CERT-URL", url), NOW)

    def test_a_stale_one_fetches_nothing(self):
        with pytest.raises(WebhookStale):
            self.scheme.verifier.certificate_at(self.scheme.hook, NOW + 301)

    @pytest.mark.parametrize(
        "signer",
        [
            gateways.PayPalSigner(),  # another authority
            gateways.PayPalSigner(SIGNER.authority, "evil.example"),
            gateways.PayPalSigner(SIGNER.authority, days=-1),  # expired
            gateways.PayPalSigner(SIGNER.authority),  # PayPal's, and another key
        ],
        ids=["authority", "name", "expired", "key"],
    )
    def test_another_certificate_is_refused(self, signer):
        used = hook(signer.headers(BODY, NOW), BODY)
        with pytest.raises(WebhookForged):
            self.scheme.verifier.verify(self.scheme.hook, NOW, signer.chain)
        if signer.authority is not SIGNER.authority or signer.days < 0 or signer.name != gateways.PAYPAL_NAME:
            with pytest.raises(WebhookForged):
                self.scheme.verifier.verify(used, NOW, signer.chain)

    @pytest.mark.parametrize(
        "chain",
        [b"", b"nonsense", SIGNER.roots, SIGNER.chain[:-100], SIGNER.roots + SIGNER.chain],
        ids=["nothing", "nonsense", "root", "cut off", "root first"],
    )
    def test_what_is_no_certificate_of_paypal_is_refused(self, chain):
        with pytest.raises(WebhookForged):
            self.scheme.verifier.verify(self.scheme.hook, NOW, chain)

    def test_one_for_another_webhook_is_refused(self):
        other = replace(self.scheme.verifier, webhook_id="1AA00000A0000000A")
        with pytest.raises(WebhookForged):
            other.verify(self.scheme.hook, NOW, SIGNER.chain)


@pytest.mark.parametrize(
    ("text", "found"),
    [("$.id", "evt_1"), ("$.data.object.id", "ch_1"), ("$.data.object.amount", "100"), ("$.data", None), ("$.no", None),
     ("$.id.more", None), ("$[0]", None), ("header:X-Id", "7"), ("header:x-id", "7"), ("header:X-Other", None)],
)  # fmt: skip
def test_picks(text, found):
    assert Pick(text).of((("X-Id", "7"),), BODY) == found


def test_a_pick_that_is_said_twice_is_none():
    assert Pick("$.id").of((), b'{"id": "a", "id": "b"}') is None
    assert Pick("header:X-Id").of((("X-Id", "7"), ("X-ID", "8")), b"") is None
    assert Pick("$.list[1]").of((), b'{"list": ["a", 12345678901234567890.10]}') == "12345678901234567890.10"


def test_events_without_an_id_are_known_by_what_was_signed():
    body = b'{"type": "ping"}'
    found = SCHEMES["stripe"].verifier.verify(hook(gateways.by_stripe(body, NOW), body), NOW)
    assert found.startswith("sha256:")
    assert found != SCHEMES["stripe"].verifier.verify(hook(gateways.by_stripe(body, NOW + 1), body), NOW)
