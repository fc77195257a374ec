"""Policy, velocity limits and tokens with limits at a real Panless; each command and each answer as a user sees it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from proxy.config import load
from proxy.errors import ConfigInvalid
from tests.harness import configuration
from tests.harness.process import panless, serving
from tests.harness.upstream import recording
from tests.harness.world import World

EXTRA = """
[[inbound]]
name     = "once"
path     = "/once"
upstream = "{app}"
customer = "$.customer"
fields   = [{{ at = "$.card.number", kind = "pan", limits = {{ uses = 1, routes = ["gateway"] }} }}]

[[inbound]]
name     = "closed"
path     = "/closed"
upstream = "{app}"
fields   = [{{ at = "$.card.number", kind = "pan" }}]

[[outbound]]
name     = "elsewhere"
path     = "/elsewhere/"
upstream = "{gateway}/"
fields   = [{{ at = "$.card.number", kind = "pan" }}, {{ at = "$.iban", kind = "iban" }}]

[[policy]]
name    = "checkouts"
actions = ["tokenize"]
routes  = ["checkout", "other-checkout", "once"]

[[policy]]
name    = "no-ibans"
effect  = "deny"
actions = ["reveal"]
kinds   = ["iban"]

[[policy]]
name     = "shop"
actions  = ["reveal"]
apps     = ["shop"]
networks = ["127.0.0.0/8", "::1/128"]

[[policy]]
name    = "night-shift"
actions = ["reveal"]
apps    = ["foreign"]
hours   = "22:00-06:00"
timezone = "UTC"
days    = ["mon"]
networks = ["192.0.2.0/24"]

[[velocity]]
name  = "foreign-routes"
per   = "route"
apps  = ["shop"]
routes = ["elsewhere"]
day   = 3
then  = "stop"

[unusual]
look_ups = {{ minute = 50, then = "report" }}
"""


@pytest.fixture(scope="module")
async def ruled(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("ruled")
    async with recording() as app, recording() as gateway:
        extra = EXTRA.format(app=app.url, gateway=gateway.url)
        config = configuration.write(folder, app.url, gateway.url, extra=extra)
        async with serving(config) as running, aiohttp.ClientSession() as client:
            shop, foreign = await running.add_app("shop"), await running.add_app("foreign")
            yield World(running, app, gateway, client, shop, foreign)


async def sent(ruled: World, path: str, document: dict, key: str | None = None) -> tuple[int, str | None]:
    base = ruled.inbound if key is None else ruled.outbound
    headers = {"Panless-Key": key} if key else {}
    async with ruled.client.post(base + path, json=document, headers=headers) as answer:
        return answer.status, answer.headers.get("Panless-Error")


async def token(ruled: World, path: str = "/checkout", **more) -> str:
    assert await sent(ruled, path, {"card": {"number": "4242424242424242"}} | more) == (200, None)
    return ruled.app.last.json()["card"]["number"]


async def test_what_no_rule_allows_is_denied_and_the_answer_says_no_more_than_that(ruled):
    before = len(ruled.app.received), len(ruled.gateway.received)
    assert await sent(ruled, "/closed", {"card": {"number": "4242424242424242"}}) == (403, "not_permitted")
    card = await token(ruled)
    document = {"card": {"number": card}}
    assert await sent(ruled, "/gateway/x", document, ruled.foreign_key) == (403, "not_permitted")
    async with ruled.client.post(
        f"{ruled.outbound}/gateway/x", json=document, headers={"Panless-Key": ruled.foreign_key}
    ) as answer:
        told = await answer.text()
    assert "night-shift" not in told
    assert "192.0.2" not in told
    assert (len(ruled.app.received), len(ruled.gateway.received)) == (before[0] + 1, before[1])
    assert await sent(ruled, "/gateway/x", document, ruled.key) == (200, None)
    assert ruled.gateway.last.json()["card"]["number"] == "4242424242424242"
    denied = await ruled.panless.events("--outcome", "denied")
    assert {(each["action"], each["rule"]) for each in denied} >= {
        ("tokenize", "(no rule allows it)"),
        ("reveal", "(no rule allows it)"),
    }
    permitted = (await ruled.panless.events("--action", "reveal", "--outcome", "permitted"))[-1]
    assert (permitted["rule"], permitted["destination"]) == ("shop", ruled.gateway.url.removeprefix("http://"))
    assert {each["policy"] for each in [*denied, permitted]} == {permitted["policy"]}


async def test_a_kind_that_is_denied_takes_the_whole_request_with_it(ruled):
    card = await token(ruled)
    document = {"card": {"number": card}, "iban": card}
    assert await sent(ruled, "/elsewhere/x", document, ruled.key) == (403, "not_permitted")
    assert (await ruled.panless.events("--outcome", "denied"))[-1]["rule"] == "no-ibans"


async def test_a_token_for_one_use_on_one_route(ruled):
    once = await token(ruled, "/once", customer="c-7")
    document = {"card": {"number": once}}
    assert await sent(ruled, "/elsewhere/x", document, ruled.key) == (403, "token_not_for_route")
    assert await sent(ruled, "/gateway/x", document, ruled.key) == (200, None)
    assert await sent(ruled, "/gateway/x", document, ruled.key) == (410, "token_expired")


@pytest.mark.parametrize("customer", ["4242424242424242", "4242-4242-4242-4242", "two words", "", "x" * 256, "né"])
async def test_what_cannot_name_a_customer_is_refused_and_nothing_is_stored(ruled, customer):
    received = len(ruled.app.received)
    document = {"card": {"number": "5555555555554444"}, "customer": customer}
    assert await sent(ruled, "/once", document) == (422, "customer_invalid")
    assert len(ruled.app.received) == received


async def test_show_erase_and_use_of_an_erased_token(ruled, tmp_path):
    first, second = await token(ruled, "/once", customer="c-8"), await token(ruled, "/once", customer="c-9")
    shown = await ruled.panless.command("token", "show", first, "--json")
    about = json.loads(shown.out)
    assert (about["kind"], about["last4"], about["max_uses"], about["customers"]) == ("pan", "4242", 1, ["c-8"])
    assert about["events"][-1]["action"] == "tokenize"
    assert "4242424242424242" not in shown.out
    readable = await ruled.panless.command("token", "show", first)
    assert "c-8" in readable.out
    (tmp_path / "list").write_text(f"{first}\n\ncustomer c-9\n")
    dry = await ruled.panless.command("token", "erase", "--file", str(tmp_path / "list"), "--dry-run")
    assert "2 tokens to erase" in dry.err
    done = await ruled.panless.command(
        "token", "erase", "--file", str(tmp_path / "list"), "--yes", "--out", str(tmp_path / "receipt")
    )
    assert done.code == 0, done.err
    receipt = json.loads((tmp_path / "receipt").read_text().splitlines()[0])
    assert sorted(receipt["erased"]) == sorted([first, second])
    for gone in (first, second):
        assert await sent(ruled, "/gateway/x", {"card": {"number": gone}}, ruled.key) == (410, "token_erased")
    assert json.loads((await ruled.panless.command("token", "show", first, "--json")).out)["state"] == "erased"
    unknown = await ruled.panless.command("token", "erase", "tok_01kdc6a5j4f0x8h3w6rx8wv4qn", "--yes")
    assert (unknown.code, "tokens_not_found" in unknown.err) == (1, True)


async def test_explain_says_which_rule_decides_and_why_others_do_not(ruled):
    async def explained(*arguments: str) -> tuple[int, dict]:
        done = await ruled.panless.command("policy", "explain", "--json", *arguments)
        return done.code, json.loads(done.out)

    code, allowed = await explained("--app", "shop", "--route", "gateway", "--from", "127.0.0.1")
    assert (code, allowed["permitted"], allowed["decided_by"]) == (0, True, "shop")
    code, denied = await explained("--app", "shop", "--route", "gateway", "--from", "10.0.0.1")
    assert (code, denied["permitted"]) == (1, False)
    assert [step["why"] for step in denied["rules"] if step["rule"] == "shop"] == [
        "it is for networks 127.0.0.0/8, ::1/128"
    ]
    at_night = ("--app", "foreign", "--route", "gateway", "--from", "192.0.2.9", "--at", "2026-03-02T23:00")
    assert (await explained(*at_night))[1]["decided_by"] == "night-shift"
    assert (await explained(*at_night[:-1], "2026-03-03T23:00"))[0] == 1
    once = await token(ruled, "/once", customer="c-10")
    local = ("--from", "127.0.0.1", "--token", once)
    assert (await explained("--app", "shop", "--route", "gateway", *local))[0] == 0
    _, elsewhere = await explained("--app", "shop", "--route", "elsewhere", *local)
    assert elsewhere["token"] == ["the token is for routes gateway"]
    other = await explained("--app", "shop", "--tenant", "other", "--route", "gateway", *local)
    assert other[1]["token"] == ["the token belongs to tenant default, the application to other"]
    assert (await ruled.panless.command("policy", "explain", "--route", "nowhere")).code == 2
    readable = await ruled.panless.command("policy", "explain", "--app", "shop", "--route", "gateway")
    assert "Denied" in readable.out
    assert "it is for networks" in readable.out


async def test_who_goes_over_a_limit_is_stopped_until_an_operator_resumes(ruled):
    card = await token(ruled)
    document = {"card": {"number": card}}
    found = await asyncio.gather(*(sent(ruled, "/elsewhere/x", document, ruled.key) for _ in range(8)))
    assert found.count((200, None)) == 3
    assert set(found) <= {(200, None), (429, "velocity_exceeded"), (403, "reveals_stopped")}
    assert await sent(ruled, "/elsewhere/x", document, ruled.key) == (403, "reveals_stopped")
    assert await sent(ruled, "/gateway/x", document, ruled.key) == (200, None)
    listed = await ruled.panless.command("limits", "list")
    assert "route:elsewhere" in listed.out
    assert "panless limits resume" in listed.out
    document_of = json.loads((await ruled.panless.command("limits", "list", "--json")).out)
    assert document_of["stops"][0]["subject"] == "route:elsewhere"
    assert {"subject": "route:elsewhere", "rule": "foreign-routes", "seconds": 86400, "count": 3} in document_of[
        "counts"
    ]
    assert (await ruled.panless.command("limits", "resume", "route:nowhere")).code == 1
    assert (await ruled.panless.command("limits", "resume", "route:elsewhere")).code == 0
    async with asyncio.timeout(20):
        while (await sent(ruled, "/elsewhere/x", document, ruled.key))[1] == "reveals_stopped":
            await asyncio.sleep(0.05)
    async with ruled.client.post(
        f"{ruled.outbound}/elsewhere/x", json=document, headers={"Panless-Key": ruled.key}
    ) as answer:
        assert answer.status in (429, 403)
        assert answer.status == 403 or int(answer.headers["Retry-After"]) > 0


WRONG = {
    '[[policy]]\nname = "a"\nactions = []\n': "policy.0.actions",
    '[[policy]]\nname = "a"\nactions = ["read"]\n': "policy.0.actions",
    '[[policy]]\nname = "a"\nactions = ["reveal"]\nhours = "8-18"\n': "policy.0.hours",
    '[[policy]]\nname = "a"\nactions = ["reveal"]\ntimezone = "Mars/Olympus"\n': "policy.0.timezone",
    '[[policy]]\nname = "a"\nactions = ["reveal"]\nnetworks = ["10.0.0.1/8"]\n': "policy.0.networks",
    '[[policy]]\nname = "a"\nactions = ["reveal"]\nroutes = ["nowhere"]\n': "names route nowhere",
    '[[policy]]\nname = "a"\nactions = ["reveal"]\n' * 2: "two rules are named a",
    '[[velocity]]\nname = "a"\nper = "app"\n': "give at least one of minute, hour and day",
    '[[velocity]]\nname = "unusual.token"\nper = "token"\nday = 1\n': "names that begin with unusual. are taken",
    '[[velocity]]\nname = "a"\nper = "tenant"\nday = 1\n': "velocity.0.per",
    '[[velocity]]\nname = "a"\nper = "app"\nday = 0\n': "velocity.0.day",
}


@pytest.mark.parametrize("extra", WRONG, ids=range(len(WRONG)))
def test_a_wrong_rule_is_named(tmp_path, extra):
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2", extra=extra)
    with pytest.raises(ConfigInvalid) as refused:
        load(config)
    assert WRONG[extra] in refused.value.detail


async def test_check_warns_of_routes_that_the_policy_forgets(tmp_path):
    extra = '[[policy]]\nname = "a"\nactions = ["reveal"]\nroutes = ["gateway"]\n'
    done = await panless(
        "check", "-c", configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2", extra=extra)
    )
    assert done.code == 0
    assert "no [[policy]] allows to tokenize on route checkout" in done.err
    assert "route gateway" not in done.err
