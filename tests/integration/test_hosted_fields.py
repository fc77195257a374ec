"""Hosted fields as browsers ask for them: sessions, tokens, frames, the script."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re

import pytest

from tests.harness.hosted import CARD, OTHER, SHOP, hosted

ENDED = ("field_session_ended", "publishable_key_unknown", "origin_not_allowed")
MANY = "[fields]\naddress_limit = { minute = 1000, hour = 9999, day = 9999 }\n"
LIMITS = "[fields]\naddress_limit = { minute = 3, hour = 1000, day = 1000 }\n"


@pytest.fixture(scope="module")
async def fields(tmp_path_factory):
    async with hosted(tmp_path_factory.mktemp("hosted"), MANY) as it:
        yield it


async def test_a_card_becomes_tokens_and_nothing_that_was_typed_is_answered(fields):
    status, answer = await fields.submit(CARD)
    assert status == 200, answer
    assert answer.keys() == {"token", "cvc", "brand", "last4", "expiry", "name"}
    assert (answer["brand"], answer["last4"], answer["expiry"]) == ("visa", "4242", "12/2040")
    assert re.fullmatch("tok_[0-9a-z]{26}", answer["token"])
    assert "4242424242424242" not in json.dumps(answer) and "Ada" not in json.dumps(answer)
    assert await fields.charged({"number": answer["token"], "cvc": answer["cvc"]}) == {
        "number": "4242424242424242",
        "cvc": "123",
    }


async def test_a_session_is_good_for_one_card_also_for_two_at_once(fields):
    session = await fields.session()
    both = await asyncio.gather(*(fields.submit(CARD | {"session": session}) for _ in range(2)))
    assert sorted(status for status, _ in both) == [200, 403]
    status, answer = await fields.submit(CARD | {"session": session})
    assert (status, answer["code"]) == (403, "field_session_ended")
    # Counted, and not recorded: with one session anybody could fill the log.
    assert await fields.panless.events("--action", "tokenize", "--outcome", "denied") == []
    async with fields.client.get(f"{fields.panless.urls['admin']}/metrics") as metrics:
        assert 'code="field_session_ended",listener="fields"' in await metrics.text()


async def test_what_is_refused_does_not_spend_the_session(fields):
    session = await fields.session()
    status, answer = await fields.submit(CARD | {"session": session, "number": "4242424242424241"})
    assert (status, answer["code"], answer["at"]) == (422, "pan_invalid", "number")
    assert (await fields.submit(CARD | {"session": session}))[0] == 200


async def test_a_session_of_another_making_is_refused(fields):
    session = await fields.session()
    raw = bytearray(base64.urlsafe_b64decode(session[3:] + "=="))
    places = {"id": 3, "end": 23, "key": 30, "origin": 45, "mac": -1}
    for place in places.values():
        changed = bytearray(raw)
        changed[place] ^= 1
        text = "fs_" + base64.urlsafe_b64encode(changed).decode().rstrip("=")
        status, answer = await fields.submit(CARD | {"session": text})
        assert (status, answer["code"] in ENDED) == (403, True)
    for text in ("", "fs_", "fs_" + "A" * 30, "tok_x", session[:-1], session + "A"):
        status, answer = await fields.submit(CARD | {"session": text})
        assert (status, answer["code"] in ENDED) == (403, True), text
    assert (await fields.submit(CARD | {"session": session}))[0] == 200


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "https://shop.example:444", "http://shop.example", "https://SHOP.example"]
)
async def test_a_page_of_another_origin_gets_no_session(fields, origin):
    async with fields.call("/v1/sessions", {"key": fields.key}, origin=origin) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (403, "origin_not_allowed")


async def test_a_card_is_taken_from_a_frame_only(fields):
    """The shop's own page never has a card to send; what it has, for a wallet, it may."""
    for origin in (SHOP, OTHER):
        status, answer = await fields.submit(CARD, origin=origin)
        assert (status, answer["code"]) == (403, "origin_not_allowed")
    status, answer = await fields.submit(CARD, Sec_Fetch_Site="same-site")
    assert (status, answer["code"]) == (403, "origin_not_allowed")
    payload = {"wallet": "apple_pay", "payload": '{"data":"..."}'}
    assert (await fields.submit(payload, origin=OTHER))[0] == 403
    status, answer = await fields.submit(payload, origin=SHOP)
    assert (status, answer["wallet"], answer["token"][:4]) == (200, "apple_pay", "tok_")


async def test_any_page_may_read_a_refusal_and_is_asked_before_it_sends(fields):
    headers = {"Origin": OTHER, "Access-Control-Request-Method": "POST"}
    async with fields.client.options(f"{fields.url}/v1/sessions", headers=headers) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Methods"] == "POST"
        assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    async with fields.call("/v1/sessions", {"key": "pk_x"}, origin=OTHER) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == OTHER
        assert "Origin" in answer.headers["Vary"]
    for simple in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"):
        async with fields.call("/v1/sessions", {"key": fields.key}, origin=SHOP, Content_Type=simple) as answer:
            assert answer.status == 415, simple


async def test_other_kinds_become_tokens(fields):
    status, answer = await fields.submit({"iban": "DE89 3704 0044 0532 0130 00", "name": "Ada"})
    assert (status, answer.keys(), answer["last4"]) == (200, {"token", "last4", "name"}, "3000")
    status, answer = await fields.submit({"account": "000123456789", "routing": "021000021"})
    assert (status, answer.keys()) == (200, {"token", "routing"})


async def test_a_code_for_a_saved_card_is_leased_again(fields):
    _, saved = await fields.submit(CARD | {"cvc": "111"})
    status, answer = await fields.submit({"token": saved["token"], "cvc": "222"})
    assert (status, answer["token"]) == (200, saved["token"])
    assert (await fields.charged({"number": saved["token"], "cvc": answer["cvc"]}))["cvc"] == "222"
    _, again = await fields.submit({"token": saved["token"], "cvc": "333"})
    # Any placeholder finds it through the card: the newest.
    assert (await fields.charged({"number": saved["token"], "cvc": "000"}))["cvc"] == "333"
    events = await fields.panless.events("--token", again["cvc"], "--action", "tokenize")
    assert events[0]["tokens"] == [again["cvc"], saved["token"]]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_01arz3ndektsv4rrffq69g5fav", "token_malformed"),
        ("tok_01j9zzzzzzf00t000000000000", "token_unknown"),
        ("4242424242424242", "token_malformed"),
        ("", "token_malformed"),
    ],
)
async def test_a_code_for_no_card_is_refused(fields, token, code):
    status, answer = await fields.submit({"token": token, "cvc": "123"})
    assert status in (404, 422)
    assert answer["code"] == code


async def test_a_card_of_another_tenant_is_one_that_there_is_not(fields):
    done = await fields.panless.command("key", "add", "foreign", "--origin", SHOP, "--tenant", "other")
    assert done.code == 0, done.err
    session = await fields.session(key=done.out.strip())
    _, theirs = await fields.submit(CARD | {"session": session, "key": done.out.strip()})
    status, answer = await fields.submit({"token": theirs["token"], "cvc": "123"})
    assert (status, answer["code"]) == (404, "token_unknown")


async def test_a_frame_takes_no_session_of_another_key_from_its_page(fields):
    """Whoever gets into a shop's page has a session of a key of their own, perhaps, and would get the card's token."""
    done = await fields.panless.command("key", "add", "evil", "--origin", SHOP, "--tenant", "evil")
    session = await fields.session(key=done.out.strip())
    for document in (CARD, CARD | {"origin": OTHER}, CARD | {"key": done.out.strip(), "origin": OTHER}):
        status, answer = await fields.submit(document | {"session": session})
        assert (status, answer["code"]) == (403, "field_session_ended")
    assert (await fields.submit(CARD | {"session": session, "key": done.out.strip()}))[0] == 200


async def test_the_same_card_gets_a_new_token_each_time(fields):
    """The time in a token would tell anybody who types a number in whether the shop knows the card."""
    first, second = [(await fields.submit(CARD))[1] for _ in range(2)]
    assert first["token"] != second["token"]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"", "fields_request_invalid"),
        (b"[]", "fields_request_invalid"),
        (b'{"number":4242424242424242}', "fields_request_invalid"),
        (b'{"number":"4242424242424242","number":"4242424242424242"}', "fields_request_invalid"),
        (b'{"number":"4242424242424242","name":"\\ud800"}', "fields_request_invalid"),
        ({"number": CARD["number"], "iban": "DE89370400440532013000"}, "fields_request_invalid"),
        ({"number": CARD["number"], "token": "tok_x"}, "fields_request_invalid"),
        ({"number": CARD["number"], "pan": "x"}, "fields_request_invalid"),
        ({"iban": "DE89370400440532013000", "cvc": "123"}, "fields_request_invalid"),
        ({"payload": "x"}, "fields_request_invalid"),
        ({"wallet": "apple_pay", "number": CARD["number"]}, "fields_request_invalid"),
        ({"expiry": "12/2040"}, "fields_request_invalid"),
        (CARD | {"expiry": "13/2040"}, "value_invalid"),
        (CARD | {"expiry": "12/2020"}, "value_invalid"),
        (CARD | {"cvc": "12"}, "cvc_invalid"),
    ],
)
async def test_what_is_not_right_is_refused_and_stays_unsaid(fields, document, code):
    async with fields.call("/v1/tokens", document, origin=None) as answer:
        told = await answer.json(content_type=None)
        # Without a session, too, what is no document of ours is told as that.
        assert told["code"] in ((code,) if isinstance(document, bytes) else (code, "field_session_ended"))
    if isinstance(document, dict):
        status, told = await fields.submit(document)
        assert (status // 100, told["code"]) == (4, code)
    assert "4242" not in json.dumps(told)


async def test_one_address_hands_in_so_much_and_no_more(tmp_path):
    async with hosted(tmp_path, LIMITS) as fields:
        told = [(await fields.submit(CARD, X_Forwarded_For="203.0.113.7"))[0] for _ in range(5)]
        assert told == [200, 200, 200, 429, 429]
        assert (await fields.submit(CARD, X_Forwarded_For="203.0.113.8"))[0] == 200
        # Whatever a client writes there itself is not what counts.
        assert (await fields.submit(CARD, X_Forwarded_For="198.51.100.1, 203.0.113.7"))[0] == 429
        assert len(await fields.panless.events("--action", "velocity.throttle")) == 1
        made = await fields.panless.events("--action", "tokenize", "--outcome", "permitted")
        assert {event["origin"] for event in made} == {"203.0.113.7", "203.0.113.8"}
        assert {(event["route"], event["destination"]) for event in made} == {("fields:page", SHOP)}


async def test_a_frame_can_do_nothing_but_what_it_is_for(fields):
    query = f"key={fields.key}&origin=https%3A%2F%2Fshop.example&field=number&channel=0123456789abcdef&locale=de-AT"
    async with fields.client.get(f"{fields.url}/v1/frame?{query}") as answer:
        page = await answer.text()
        assert answer.status == 200, page
        headers = answer.headers
    policy = dict(each.strip().partition(" ")[::2] for each in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["frame-ancestors"] == SHOP
    assert policy["connect-src"] == "'self'"
    nonce = policy["script-src"].removeprefix("'nonce-").removesuffix("'")
    assert len(nonce) >= 22 and f'nonce="{nonce}"' in page
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert 'lang="de"' in page
    async with fields.client.get(f"{fields.url}/v1/frame?{query}") as answer:
        assert nonce not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"origin": OTHER}, 403, "origin_not_allowed"),
        ({"key": "pk_01j9zzzzzzf00t000000000000"}, 403, "publishable_key_unknown"),
        ({"field": "pan"}, 400, "fields_request_invalid"),
        ({"channel": "short"}, 400, "fields_request_invalid"),
        ({"channel": "0123456789abcdef<script>"}, 400, "fields_request_invalid"),
    ],
)
async def test_no_frame_for_a_page_that_may_not_have_it(fields, changed, status, code):
    query = {"key": fields.key, "origin": SHOP, "field": "number", "channel": "0123456789abcdef"} | changed
    async with fields.client.get(f"{fields.url}/v1/frame", params=query) as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (status, code)


async def test_the_script_is_what_its_integrity_says_for_good(fields):
    done = await fields.panless.command("fields", "sri", "--url", fields.url, "--json")
    assert done.code == 0, done.err
    for name, what in json.loads(done.out).items():
        async with fields.client.get(what["url"]) as answer:
            body = await answer.read()
            assert answer.status == 200, name
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert what["integrity"] == "sha384-" + base64.b64encode(hashlib.sha384(body).digest()).decode()
    for path in ("/panless/0.0.0/panless.js", "/panless/panless.js", "/v1/other", "/", "/panless/../v1/frame"):
        async with fields.client.get(fields.url + path) as answer:
            assert answer.status in (400, 404), path


async def test_a_revoked_key_takes_no_card_any_more(fields):
    done = await fields.panless.command("key", "add", "short", "--origin", SHOP, "--json")
    key = json.loads(done.out)["key"]
    session = await fields.session(key=key)
    assert (await fields.panless.command("key", "revoke", "short")).code == 0
    assert (await fields.submit(CARD | {"session": session, "key": key}))[1]["code"] == "publishable_key_unknown"
    async with fields.call("/v1/sessions", {"key": key}, origin=SHOP) as answer:
        assert answer.status == 403
    listed = json.loads((await fields.panless.command("key", "list", "--json")).out)
    assert [(each["name"], each["revoked_at"] is None) for each in listed if each["name"] in ("page", "short")] == [
        ("page", True),
        ("short", False),
    ]
    assert (await fields.panless.command("key", "revoke", "short")).code == 1
    events = await fields.panless.events("--action", "fields.key.revoke")
    assert [event["destination"] for event in events] == ["short"]


async def test_a_wrong_origin_is_told_when_the_key_is_made(fields):
    for origin in ("shop.example", "https://shop.example/path", "https://*.shop.example", "ftp://shop.example", "null"):
        done = await fields.panless.command("key", "add", "wrong", "--origin", origin)
        assert done.code == 2, origin
        assert "--origin" in done.err
    assert (await fields.panless.command("key", "add", "page", "--origin", SHOP)).code == 1
