"""Who asks, and that no gateway gets to see a Panless key."""

from __future__ import annotations

import base64

import pytest
from multidict import CIMultiDict

from proxy.edge.identity import find_key, proxy_key, put_secret

KEY, SECRET = "plk_the_applications_key", "sk_live_the_gateways_secret"
BOTH = ("bearer", "basic")


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def headers(*pairs: tuple[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(pairs)


@pytest.mark.parametrize(
    ("given", "slots"),
    [
        ([("Panless-Key", KEY)], ()),
        ([("panless-key", KEY)], BOTH),
        ([("Panless-Key", KEY), ("Authorization", "Bearer other")], BOTH),
        ([("Authorization", f"Bearer {KEY}")], ("bearer",)),
        ([("authorization", f"bearer   {KEY} ")], BOTH),
        ([("Authorization", basic(KEY))], ("basic",)),
        ([("Authorization", basic(KEY, "password"))], BOTH),
        ([("Authorization", basic(KEY).replace("Basic", "BASIC"))], BOTH),
        ([("Authorization", "Basic " + base64.b64encode(KEY.encode()).decode())], BOTH),
    ],
)
def test_the_key_is_found_where_it_may_be(given, slots):
    assert find_key(headers(*given), slots) == KEY


@pytest.mark.parametrize(
    ("given", "slots"),
    [
        ([], BOTH),
        ([("Authorization", f"Bearer {KEY}")], ()),
        ([("Authorization", f"Bearer {KEY}")], ("basic",)),
        ([("Authorization", basic(KEY))], ("bearer",)),
        ([("Authorization", KEY)], BOTH),
        ([("Authorization", f"Token {KEY}")], BOTH),
        ([("Authorization", f"Digest {KEY}")], BOTH),
        ([("Authorization", "")], BOTH),
        ([("Authorization", "Basic not base64!")], BOTH),
        ([("Authorization", "Basic " + base64.b64encode(b"\xff\xfe:x").decode())], BOTH),
        ([("Authorization", "Basic é")], BOTH),
        ([("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")], BOTH),
        ([("Panless-Key", KEY), ("Panless-Key", KEY)], BOTH),
        ([("Panless-Key", ""), ("Authorization", f"Bearer {KEY}")], BOTH),
        ([("Proxy-Authorization", f"Bearer {KEY}")], BOTH),
        ([("X-Api-Key", KEY)], BOTH),
    ],
)
def test_it_is_found_nowhere_else_and_never_guessed(given, slots):
    assert find_key(headers(*given), slots) == ""


def after(given, slots, secret) -> CIMultiDict[str]:
    found = headers(*given)
    put_secret(found, slots, secret)
    return found


@pytest.mark.parametrize(
    ("given", "slots", "expected"),
    [
        ([("Authorization", f"Bearer {KEY}")], BOTH, f"Bearer {SECRET}"),
        ([("Authorization", basic(KEY))], BOTH, basic(SECRET)),
        ([("authorization", basic(KEY, "password"))], ("basic",), basic(SECRET)),
        ([("Panless-Key", KEY)], ("bearer",), f"Bearer {SECRET}"),
        ([("Panless-Key", KEY)], ("basic", "bearer"), basic(SECRET)),
        ([("Authorization", basic("public", KEY))], ("bearer", "basic-password"), basic("public", SECRET)),
        ([("Authorization", "Token dummy")], ("header:authorization",), "Token dummy"),
        ([("Panless-Key", KEY), ("Authorization", basic("own"))], BOTH, basic("own")),
        ([("Panless-Key", KEY), ("Authorization", "Token own")], BOTH, "Token own"),
    ],
)
def test_the_gateways_secret_takes_the_place_of_the_key(given, slots, expected):
    found = after([*given, ("X-A", "1")], slots, SECRET)
    assert found.getall("Authorization") == [expected]
    assert "Panless-Key" not in found
    assert found["X-A"] == "1"
    assert KEY not in str(found)


@pytest.mark.parametrize(
    ("given", "slots", "expected"),
    [
        ([("Authorization", basic("own"))], BOTH, basic(SECRET)),
        ([("Authorization", basic("public", "own"))], ("basic-password",), basic("public", SECRET)),
        ([("Authorization", basic("own"))], ("bearer",), f"Bearer {SECRET}"),
        ([("Authorization", "a"), ("Authorization", "b")], BOTH, f"Bearer {SECRET}"),
    ],
)
def test_the_secret_goes_over_everything_where_that_is_asked_for(given, slots, expected):
    found = headers(("Panless-Key", KEY), *given)
    put_secret(found, slots, SECRET, always=True)
    assert found.getall("Authorization") == [expected]


def test_a_header_of_its_own_is_a_slot_too():
    found = headers(("X-Api-Key", KEY), ("X-A", "1"))
    assert find_key(found, ("header:x-api-key",)) == KEY
    put_secret(found, ("header:x-api-key",), SECRET)
    assert found["X-API-Key"] == SECRET
    assert list(found) == ["x-api-key", "X-A"]


def test_a_secret_with_a_colon_is_user_and_password():
    found = headers(("Authorization", basic(KEY)))
    put_secret(found, ("basic",), "user:password")
    assert found["Authorization"] == basic("user", "password")


def test_without_a_secret_the_key_is_taken_out_of_its_slot():
    assert list(after([("Authorization", f"Bearer {KEY}"), ("X-A", "1")], BOTH, None)) == ["X-A"]
    assert list(after([("Panless-Key", KEY), ("X-A", "1")], BOTH, None)) == ["X-A"]


def test_without_a_secret_the_applications_own_credential_for_the_gateway_stays():
    found = after([("Panless-Key", KEY), ("Authorization", "Bearer sk_test_own")], BOTH, None)
    assert found["Authorization"] == "Bearer sk_test_own"


@pytest.mark.parametrize("value", [f"Bearer {KEY}", basic(KEY)])
def test_no_panless_key_reaches_a_gateway_when_it_was_sent_twice(value):
    found = after([("Panless-Key", KEY), ("Authorization", value)], BOTH, None)
    assert "Authorization" not in found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("Panless-Key", "own"), ("Authorization", "Bearer slot")], "own"),
        ([("Panless-Key", "own"), ("Panless-Key", "own")], ""),
        ([("Panless-Key", "")], ""),
        ([("Authorization", "Bearer slot")], KEY),
        ([], KEY),
    ],
)
def test_the_key_of_the_tunnel_counts_between_header_and_slots(given, expected):
    assert find_key(headers(*given), BOTH, KEY) == expected


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {KEY}",
        f"bearer   {KEY} ",
        basic(KEY),
        basic(KEY, "x"),
        basic("", KEY),
        basic("user", KEY),
        basic(KEY, KEY).lower().replace(basic(KEY, KEY).lower()[6:], basic(KEY, KEY)[6:]),
    ],
)
def test_the_key_for_the_proxy_is_found(value):
    assert proxy_key([value]) == KEY


@pytest.mark.parametrize("values", [[""], ["Basic"], ["Basic !"], [f"Digest {KEY}"], [KEY], [f"Bearer {KEY}"] * 2])
def test_what_holds_no_one_key_for_the_proxy_is_not_taken_for_no_key_at_all(values):
    assert proxy_key(values) == ""
    assert proxy_key([]) is None
