"""panless check --request: what would be done with a captured request, as a test for users' own CI."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from proxy.config import config_schema
from tests.harness.process import panless

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "tests" / "captures"
CONFIG = """
[listen]
outbound = { bind = "127.0.0.1:0" }

[[inbound]]
name = "shop"
path = "/payments"
upstream = "http://127.0.0.1:9000"
fields = [
  { at = "$.source.number", kind = "pan" },
  { at = "$.source.cvv", kind = "cvc", of = "$.source.number" },
]

[[inbound]]
name = "bare"
path = "/v72/"
upstream = "http://127.0.0.1:9000"
guard_except = ["$.paymentMethod.cvc"]

[[webhook]]
name = "hook"
path = "/hooks/stripe"
upstream = "http://127.0.0.1:9000/in"
verify = { scheme = "stripe", secret = "env:NOT_SET_IN_CI" }

[[outbound]]
name = "braintree"
preset = "braintree"
hosts = ["api.sandbox.braintreegateway.com"]
upstream = "https://api.sandbox.braintreegateway.com/base/"
apps = ["shop"]
credential = { secret = "env:NOT_SET_IN_CI" }
"""


@pytest.fixture
def check(tmp_path):
    (tmp_path / "panless.toml").write_text(CONFIG)

    async def run(capture: str | Path, *options: str | Path):
        file = CAPTURES / capture
        return await panless("check", "-c", tmp_path / "panless.toml", "--request", file, *options)

    return run


async def test_the_host_names_the_route_and_no_secret_is_needed(check):
    done = await check("braintree-connect.http")
    assert done.code == 0, done.err
    assert "outbound route braintree, to https://api.sandbox.braintreegateway.com/base/merchants/merch1" in done.out
    assert "ends in 1111" in done.out and "4111111111111111" not in done.out and "123" not in done.out
    assert "gateway's credential: basic-password" in done.out
    assert "José" not in done.out and "$.transaction.credit_card.cardholder_name passes as it is" in done.out


async def test_a_webhook_can_be_rehearsed_too(check):
    done = await check("stripe-webhook.http", "--json")
    found = json.loads(done.out)
    assert (done.code, found["way"], found["route"], found["guard"]) == (0, "webhook", "hook", "tokenize"), done.err
    assert found["upstream"] == "http://127.0.0.1:9000/in"


async def test_json_says_where_each_value_stands(check):
    done = await check("checkout.http", "--json")
    result = json.loads(done.out)
    body = (CAPTURES / "checkout.http").read_bytes().partition(b"\r\n\r\n")[2]
    assert (result["way"], result["route"], result["action"]) == ("inbound", "shop", "tokenize")
    assert {each["at"]: each["offset"] for each in result["swaps"]} == {
        "$.source.cvv": body.index(b'"123"'),
        "$.source.number": body.index(b'"4242424242424242"'),
    }
    assert result["leaks"] == []
    assert "4242424242424242" not in done.out


async def test_what_it_expects_is_what_json_printed_and_anything_else_fails(check, tmp_path):
    expected = tmp_path / "sale.json"
    expected.write_text((await check("checkout.http", "--json")).out)
    assert (await check("checkout.http", "--expect", expected)).code == 0
    expected.write_text(json.dumps({"action": "tokenize"}))
    assert (await check("checkout.http", "--expect", expected)).code == 0
    expected.write_text(json.dumps({"action": "reveal"}))
    done = await check("checkout.http", "--expect", expected)
    assert done.code == 1
    assert "action: expected 'reveal', got 'tokenize'" in done.err


async def test_it_says_what_the_guard_would_find(check):
    result = json.loads((await check("adyen.http", "--json")).out)
    assert result["route"] == "bare"
    body = (CAPTURES / "adyen.http").read_bytes().partition(b"\r\n\r\n")[2]
    assert result["leaks"] == [f"body at byte {body.index(b'4111')}"]


async def test_a_request_that_would_be_refused_fails_and_can_be_expected(check, tmp_path):
    twice = tmp_path / "twice.http"
    twice.write_bytes(b"POST /payments HTTP/1.1\r\nContent-Type: application/json\r\n\r\n" + b'{"source":1,"source":2}')
    done = await check(twice)
    assert done.code == 1
    assert "duplicate_key" in done.out
    (tmp_path / "refused.json").write_text('{"error": "duplicate_key"}')
    assert (await check(twice, "--expect", tmp_path / "refused.json")).code == 0


async def test_without_a_route_it_says_how_to_name_one(check):
    done = await check("square.http")
    assert done.code == 1 and "--route NAME" in done.out
    done = await check("square.http", "--route", "braintree", "--json")
    assert json.loads(done.out)["upstream"].endswith("/base/gw/sq/v2/payments")


@pytest.mark.parametrize("text", ["", "hello", "POST /x\r\nTransfer-Encoding: chunked\r\n\r\n"])
async def test_a_file_that_holds_no_request_is_wrong_use(check, tmp_path, text):
    (tmp_path / "bad.http").write_text(text)
    assert (await check(tmp_path / "bad.http")).code == 2


async def test_options_of_a_rehearsal_need_a_request(tmp_path):
    (tmp_path / "panless.toml").write_text(CONFIG)
    done = await panless("check", "-c", tmp_path / "panless.toml", "--route", "shop")
    assert done.code == 2 and "--request" in done.err


def test_the_published_schema_is_that_of_the_configuration():
    assert json.loads((ROOT / "docs" / "config.schema.json").read_text()) == config_schema()


@pytest.mark.parametrize("file", ["config/panless.example.toml"])
def test_the_example_follows_the_schema(file):
    document = tomllib.loads((ROOT / file).read_text())
    jsonschema.Draft202012Validator(config_schema()).validate(document)
    document["inbound"][0]["fild"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(config_schema()).validate(document)
