"""What [listen] fields and [fields] may say; what is wrong is told in words of the field."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from proxy.config import Config, parse
from proxy.errors import ConfigInvalid
from proxy.hosts import origin


def configured(listener: dict, fields: dict | None = None) -> Config:
    document = {"listen": {"fields": {"bind": "127.0.0.1:0"} | listener}, "fields": fields or {}}
    return parse(document, Path("panless.toml"))


def test_urls_and_networks_are_read_as_they_are_compared():
    config = configured({"url": "https://Pay.Shop.example:443/", "trusted_proxies": ["10.0.0.1/8", "2001:db8::7"]})
    assert config.listen.fields.url == "https://pay.shop.example"
    assert list(config.listen.fields.trusted_proxies) == [ip_network("10.0.0.0/8"), ip_network("2001:db8::7")]


@pytest.mark.parametrize(
    ("listener", "fields", "said"),
    [
        ({"trusted_proxies": ["localhost"]}, {}, 'a network is written "10.0.0.0/8"'),
        ({"trusted_proxies": ["0.0.0.0/0"]}, {}, "would let everybody say who they are"),
        ({"trusted_proxies": ["::/0"]}, {}, "would let everybody say who they are"),
        ({"url": "https://shop.example/pay"}, {}, "an origin has no path"),
        ({"url": "https://*.shop.example"}, {}, "no wildcard"),
        ({"url": "shop.example"}, {}, "an origin is https://HOST"),
        ({}, {"address_limit": {"minute": 100, "hour": 20, "day": 400}}, "have to rise"),
        ({}, {"session_minutes": 0}, "session_minutes"),
    ],
)
def test_what_is_wrong_is_told(listener, fields, said):
    with pytest.raises(ConfigInvalid) as refused:
        configured(listener, fields)
    assert said in refused.value.detail


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://SHOP.example:443/", "https://shop.example"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_an_origin_is_spelled_as_browsers_spell_it(text, known):
    assert origin(text) == known


@pytest.mark.parametrize(
    "text", ["", "null", "//shop.example", "https://", "https://a@b", "https://a?b", "https://a#b", "https://ä.example"]
)
def test_nothing_else_is_an_origin(text):
    with pytest.raises(ValueError):  # noqa: PT011  # each says another thing
        origin(text)
