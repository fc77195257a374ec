"""The settings of what is sent once and of what is sent later: what cannot be true is refused."""

from __future__ import annotations

import pytest

from proxy.config import load
from proxy.errors import ConfigInvalid
from proxy.routes import IDEMPOTENCY_KEY, OutboundRoute

ROUTE = """
[[outbound]]
name     = "gateway"
path     = "/gateway/"
upstream = "https://api.gateway.example/"
apps     = ["shop"]
"""
SIGNING = """
signing = { scheme = "cavage", app_secret = "env:A", secret = "env:B" }
"""


def route(tmp_path, more: str) -> OutboundRoute:
    file = tmp_path / "panless.toml"
    file.write_text(ROUTE + more)
    return OutboundRoute.compile(load(file).outbound[0], None)


def test_what_is_left_out(tmp_path):
    rules = route(tmp_path, "").idempotency
    assert (rules.header, rules.honoured, rules.required) == (IDEMPOTENCY_KEY, False, False)
    assert (rules.wait.total_seconds(), rules.keep.total_seconds()) == (0, 86400)
    assert route(tmp_path, "").asynchronous is None


def test_what_is_set(tmp_path):
    rules = route(
        tmp_path, 'idempotency_header = "X-Once"\nidempotency = { running = "wait", wait_seconds = 5, keep_hours = 48 }'
    ).idempotency
    assert (rules.header, rules.honoured) == ("X-Once", True)
    assert (rules.wait.total_seconds(), rules.keep.total_seconds()) == (5, 2 * 86400)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('sequence = "$.customer"', "needs asynchronous"),
        ("asynchronous = { give_up_hours = 25 }", "gateways forget keys"),
        (f"asynchronous = {{}}\n{SIGNING}", "cannot be sent later"),
        ('idempotency = { running = "guess" }', "'refuse' or 'wait'"),
        ('idempotency_header = "two words"', "pattern"),
        ('asynchronous = { notify = { upstream = "https://app.example/" } }', "required"),
        ('asynchronous = { notify = { upstream = "http://app.example/", sign = { secret = "env:S" } } }', "plain http"),
        ('asynchronous = { notify = { upstream = "https://a.example/", sign = { secret = "whsec_MfKQ9r8" } } }', ""),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, more, why):
    with pytest.raises(ConfigInvalid) as caught:
        route(tmp_path, more)
    assert why in caught.value.detail
