"""What is sent of a stored event, and how long is waited before it is sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from proxy.config import InboundConfig
from proxy.notifying.attempt import MOST_SECONDS, outgoing, pause
from proxy.rewrite.message import Message
from proxy.routes import InboundRoute
from proxy.webhook_routes import Destination
from vault.tokens import uuid7

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HEADERS = (("Content-Type", "text/plain"), ("Webhook-Id", "the gateway's"), ("webhook-signature", "v1,of the gateway"))


def destination(path: str, upstream: str, *secrets: bytes) -> Destination:
    config = InboundConfig(name="hook", path=path, upstream=f"http://127.0.0.1:1{upstream}")
    return Destination(InboundRoute.compile(config), secrets, timedelta(hours=1), timedelta(days=1))


@pytest.mark.parametrize(
    ("path", "upstream", "came", "sent"),
    [
        ("/hooks/in", "/app/in", "/hooks/in", "/app/in"),
        ("/hooks/", "/app/", "/hooks/in/7", "/app/in/7"),
        ("/hooks/", "", "/hooks/in", "/hooks/in"),
    ],
)
def test_it_goes_where_the_route_leads_now(path, upstream, came, sent):
    message = Message(b"x", None, came, "a=b", HEADERS)
    made = outgoing(message, uuid7(), destination(path, upstream), NOW)
    assert (made.path, made.query, made.headers, made.body) == (sent, "a=b", HEADERS, b"x")


def test_a_signature_of_ours_takes_the_place_of_the_gateways():
    made = outgoing(Message(b"x", None, "/", headers=HEADERS), uuid7(), destination("/", "", b"a" * 24, b"b" * 24), NOW)
    names = [name.lower() for name, _ in made.headers]
    assert sorted(names) == ["content-type", "webhook-id", "webhook-signature", "webhook-timestamp"]
    found = {name.lower(): value for name, value in made.headers}
    assert found["webhook-id"].startswith("whe_") and len(found["webhook-signature"].split(" ")) == 2
    assert found["webhook-timestamp"] == str(int(NOW.timestamp()))


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_pauses_grow_to_an_hour_and_the_application_can_ask_for_longer_ones(chance, monkeypatch):
    monkeypatch.setattr("proxy.notifying.attempt._random", SimpleNamespace(random=lambda: chance))
    pauses = [pause(attempts).total_seconds() for attempts in (1, 2, 3, 10, 20, 10_000)]
    assert pauses == sorted(pauses)
    assert pauses[0] >= 0.5 and pauses[-1] == max(0.5, chance * MOST_SECONDS)
    assert pause(1, 120.0).total_seconds() == 120.0
