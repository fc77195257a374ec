"""Who a request comes from, behind proxies of one's own."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from proxy.fields.client import client_of

OURS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),  # it is no proxy of ours: anybody may write that
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.9", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["somebody"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, "], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
        (None, ["198.51.100.1"], None),
        ("10.0.0.1", ["198.51.100.1:51000"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["fe80::1%4242424242424242"], "fe80::1"),
        ("10.0.0.1", ["198.51.100.1%4242424242424242"], "198.51.100.1"),
    ],
)
def test_the_client_is_the_last_one_that_is_none_of_ours(peer, forwarded, client):
    assert client_of(peer, forwarded, OURS) == client
