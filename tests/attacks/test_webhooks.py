"""What somebody sends to a webhook route who has no secret, or has seen webhooks that were signed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from proxy.hosts import HostPort
from proxy.upstream import certificates
from proxy.upstream.certificates import MOST_WAITING, SigningCertificates
from proxy.upstream.errors import UpstreamFirstByteTimeout
from proxy.verifying.errors import WebhookCertificateUnavailable, WebhookMalformed
from proxy.verifying.hmac_of_parts import HmacWebhook
from proxy.verifying.scheme import CertificateAt
from tests.harness import gateways
from tests.harness.hooked import Hooked, event, hooked

HALF_A_PAIR = "\ud83d"


@pytest.fixture(scope="module")
async def shared(tmp_path_factory):
    async with hooked(tmp_path_factory.mktemp("hooks")) as world:
        yield world


@pytest.fixture
def world(shared) -> Hooked:
    shared.app.reset()
    return shared


@pytest.mark.parametrize(
    "change", [{"pspReference": HALF_A_PAIR}, {"additionalData": {"hmacSignature": HALF_A_PAIR}}], ids=["field", "sig"]
)
async def test_half_a_character_is_refused_and_no_fault(world, change):
    body = gateways.by_adyen({**gateways.adyen_item(), **change})
    assert await world.post("adyen", body) == (401, "webhook_malformed")


@pytest.mark.parametrize("where", ["id", "order"])
async def test_an_event_with_half_a_character_is_not_lost(world, where):
    """JavaScript cuts texts between the halves of an emoji, and a customer may have written it."""
    number = world.fresh()
    body = event(f"{number}{HALF_A_PAIR}") if where == "id" else event(number, thing=f"{number}{HALF_A_PAIR}")
    assert await world.stripe(body) == (200, "")
    assert await world.stripe(body) == (200, "")
    await world.quiet()
    assert [each.body for each in world.at("stripe") if number.encode() in each.body] == [body]


async def test_items_of_adyen_that_were_taken_are_not_put_together_anew(world):
    """Each item is signed by itself, for ever, and what is around the signed fields is not."""
    items = [gateways.adyen_item(world.fresh()) for _ in range(2)]
    for item in items:
        assert await world.post("adyen", gateways.by_adyen(item)) == (200, "")
    for again in ([items[0]] * 2, items, items[::-1]):
        changed = [{**item, "reason": "forged"} for item in again]
        assert await world.post("adyen", gateways.by_adyen(*changed)) == (401, "webhook_malformed")
    await world.quiet()
    assert not [each for each in world.at("adyen") if b"forged" in each.body]


def test_a_character_does_not_move_from_a_header_to_the_text_behind_it():
    """`7:` before `::` is `7` before `::` and a body that begins with a colon."""
    verifier = HmacWebhook((b"secret",), "X-Sig", ("header:X-Id", "text:::", "body"))
    signature = gateways.by_hmac(b"7:::body", b"secret").hex()

    def came(name: str, body: bytes):
        return gateways.hook((("X-Sig", signature), ("X-Id", name)), body)

    assert verifier.verify(came("7", b":body"), 0)
    with pytest.raises(WebhookMalformed):
        verifier.verify(came("7:", b"body"), 0)


@dataclass(frozen=True)
class _Route:
    name: str = "paypal"
    scheme: str = "https"
    authority: str = "app.internal"


class _Hangs:
    """A host that answers nobody in time."""

    async def send(self, *_):
        raise UpstreamFirstByteTimeout(reached="maybe", route="paypal")


@pytest.mark.parametrize("waiting", [0, MOST_WAITING])
async def test_a_crowd_that_asks_for_certificates_keeps_out_none_that_was_there(monkeypatch, waiting):
    """Anybody can have certificates fetched: the next hour's webhooks of PayPal must not depend on that."""
    known, now = SigningCertificates(_Hangs()), time.monotonic()
    there, nowhere = (CertificateAt(HostPort("api.paypal.com", 443), f"/v1/notifications/certs/{n}") for n in "ab")
    known._found.put(("paypal", there), b"PEM")
    known._waiting = waiting
    monkeypatch.setattr(time, "monotonic", lambda: now + certificates.KEEP_SECONDS + 1)
    assert await known.get(_Route(), there) == b"PEM"
    with pytest.raises(WebhookCertificateUnavailable):
        await known.get(_Route(), nowhere)
