"""What the frames know of card numbers, dates and accounts, asked for in the browser: equal to what the vault knows."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.browser import watched
from vault import issuers
from vault.kinds import iban_valid, is_card_number, luhn_valid

FRAME = Path(__file__).parents[2] / "proxy" / "fields" / "assets" / "frame"
CARDS = Path(__file__).parents[1] / "cards" / "test_cards.csv"
# Brands are told by the first four digits: these are the edges of all ranges, and everything between them.
EDGES = [f"{first:04d}" for first in range(10_000)]
ONE_MARCH_2027 = 1803902400000  # noon, UTC


@pytest.fixture(scope="module")
async def ask(browser):
    """`ask(module, expression, argument)` gives what an expression over a module of the frames comes to."""
    async with watched(browser) as witness:
        page = await witness.context.new_page()

        async def serve(route):
            path = FRAME / urlsplit(route.request.url).path.lstrip("/")
            await route.fulfill(path=path if path.is_file() else FRAME / "frame.css")

        await page.route("http://localhost/**", serve)
        await page.goto("http://localhost/")

        async def asked(module: str, expression: str, argument=None):
            script = f"""async (text) => {{
              const argument = JSON.parse(text);
              const m = await import("/{module}.js");
              return JSON.stringify({expression} ?? null);
            }}"""
            return json.loads(await page.evaluate(script, json.dumps(argument)))

        yield asked


def is_old_visa(number: str, length: int) -> bool:
    """Fields take none of 13 digits: whoever reads last digits there would read those of a beginning."""
    return number.startswith("4") and length == 13


async def test_brands_are_those_of_the_vault(ask):
    with CARDS.open() as file:
        numbers = EDGES + [row["pan"] for row in csv.DictReader(file)]
    found = await ask("brands", "argument.map((number) => [m.brandOf(number), m.lengthsOf(number)])", numbers)
    for number, (brand, lengths) in zip(numbers, found, strict=True):
        known = [n for n in range(12, 20) if issuers.issued(number[:4].ljust(n, "0")) and not is_old_visa(number, n)]
        assert (brand, lengths) == (issuers.brand(number), known or list(range(12, 20))), number


async def test_every_test_card_is_right_as_the_vault_says(ask):
    with CARDS.open() as file:
        rows = list(csv.DictReader(file))
    found = await ask("number", "argument.map((number) => m.number.check(number))", [row["pan"] for row in rows])
    for row, mistake in zip(rows, found, strict=True):
        known = issuers.brand(row["pan"]) is None or issuers.issued(row["pan"])
        old = is_old_visa(row["pan"], len(row["pan"]))
        assert (mistake is None) == (is_card_number(row["pan"]) and known and not old), row


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("4242424242424242", "4242 4242 4242 4242"),
        ("378282246310005", "3782 822463 10005"),
        ("36227206271667", "3622 720627 1667"),
        ("6205500000000000004", "6205 5000 0000 0000 004"),
        ("4242-4242\u00a04242 4242", "4242 4242 4242 4242"),
        ("４２４２４２４２", "4242 4242"),
        ("424242424242424212345678", "4242 4242 4242 4242 123"),
        ("card: 5555 5555 5555 4444 99", "5555 5555 5555 4444"),
        ("", ""),
    ],
)
async def test_numbers_are_grouped(ask, typed, shown):
    assert await ask("number", "m.number.format(m.number.clean(argument))", typed) == shown


@pytest.mark.parametrize(
    ("number", "mistake"),
    [
        ("4242424242424242", None),
        ("4242424242424241", "number_invalid"),
        ("42424242", "number_incomplete"),
        ("424242424242424", "number_incomplete"),
        ("0000000000000000", "number_invalid"),
        ("", "number_missing"),
    ],
)
async def test_numbers_are_checked(ask, number, mistake):
    assert await ask("number", "m.number.check(argument)", number) == mistake


@pytest.mark.parametrize(
    ("typed", "shown", "sent"),
    [
        ("1", "1", None),
        ("2", "02 / ", None),
        ("12", "12 / ", None),
        ("13", "01 / 3", None),
        ("1/30", "01 / 30", "01/2030"),
        ("1230", "12 / 30", "12/2030"),
        ("12/2030", "12 / 2030", "12/2030"),
        ("122030", "12 / 2030", "12/2030"),
        ("2030-12", "12 / 2030", "12/2030"),
        ("2030-1", "01 / 2030", "01/2030"),
        ("203012", "12 / 2030", "12/2030"),
        ("１２／３０", "12 / 30", "12/2030"),
        ("12 / 30", "12 / 30", "12/2030"),
        ("12.30", "12 / 30", "12/2030"),
        (" 05-2031 ", "05 / 2031", "05/2031"),
    ],
)
async def test_dates_are_read(ask, typed, shown, sent):
    found = await ask(
        "expiry", "((plain) => [m.expiry.format(plain), m.expiry.sent(plain)])(m.expiry.clean(argument))", typed
    )
    assert found[0] == shown
    if sent:
        assert found[1] == sent


@pytest.mark.parametrize(
    ("plain", "mistake"),
    [
        ("", "expiry_missing"),
        ("12", "expiry_incomplete"),
        ("12203", "expiry_incomplete"),
        ("0030", "expiry_invalid"),
        ("0227", "expiry_past"),
        ("0327", None),
        ("0277", None),
        ("0477", "expiry_invalid"),
        ("122026", "expiry_past"),
    ],
)
async def test_past_months_are_refused(ask, plain, mistake):
    found = await ask("expiry", "m.expiry.check(argument[0], { now: argument[1] })", [plain, ONE_MARCH_2027])
    assert found == mistake


async def test_a_card_is_good_until_its_month_is_over_everywhere(ask):
    found = await ask(
        "expiry",
        "argument.map((now) => m.expiry.check('0227', { now }))",
        [ONE_MARCH_2027 - 60_000, ONE_MARCH_2027 + 60_000],
    )
    assert found == [None, "expiry_past"]


@pytest.mark.parametrize(
    ("brand", "typed", "mistake"),
    [
        ("visa", "123", None),
        ("visa", "12", "cvc_incomplete"),
        ("amex", "123", "cvc_incomplete"),
        ("amex", "1234", None),
        (None, "123", None),
        (None, "1234", None),
        ("visa", "1234", None),
        (None, "", "cvc_missing"),
    ],
)
async def test_codes_are_as_long_as_the_brand_says(ask, brand, typed, mistake):
    found = await ask(
        "cvc", "((c) => m.cvc.check(m.cvc.clean(argument[1], c), c))({ brand: argument[0] })", [brand, typed]
    )
    assert found == mistake


@pytest.mark.parametrize("iban", ["DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947"])
async def test_ibans_have_check_digits(ask, iban):
    wrong = iban[:-1] + str((int(iban[-1]) + 1) % 10)
    assert iban_valid(iban) and not iban_valid(wrong)
    check = "argument.map((iban) => m.iban.check(m.iban.clean(iban)))"
    spaced = " ".join(iban[i : i + 4] for i in range(0, len(iban), 4)).lower()
    assert await ask("bank", check, [iban, spaced, wrong]) == [None, None, "iban_invalid"]
    assert await ask("bank", "m.iban.format(argument)", iban) == spaced.upper()


async def test_routing_numbers_have_a_check_digit(ask):
    check = "argument.map((number) => m.routing.check(number))"
    assert await ask("bank", check, ["021000021", "021000022", "02100002", ""]) == [
        None,
        "routing_invalid",
        "routing_incomplete",
        "routing_missing",
    ]


@pytest.mark.parametrize(
    ("typed", "before", "caret"), [("4242 4242", 4, 4), ("4242 4242", 5, 6), ("12 / 30", 3, 6), ("", 0, 0), ("4", 9, 1)]
)
async def test_the_caret_stays_behind_what_it_stood_behind(ask, typed, before, caret):
    assert await ask("editing", "m.caretAfter(argument[0], argument[1])", [typed, before]) == caret


ALLOWED = [
    ("color", "#1a1a1a"),
    ("color", "rgb(10, 20, 30)"),
    ("color", "rgba(10 20 30 / 50%)"),
    ("background-color", "transparent"),
    ("font-family", '"Open Sans", Inter, sans-serif'),
    ("font-size", "18px"),
    ("font-size", "1.25rem"),
    ("font-weight", "600"),
    ("letter-spacing", "-0.02em"),
    ("line-height", "1.5"),
    ("padding", "4px 8px"),
    ("text-align", "end"),
]
REFUSED = [
    ("background-image", "none"),
    ("background", "red"),
    ("position", "fixed"),
    ("content", "'x'"),
    ("color", "url(https://evil.example/)"),
    ("color", "red;background-image:url(//evil.example)"),
    ("color", "var(--x)"),
    ("color", "attr(value)"),
    ("color", "image-set('x')"),
    ("color", "rgb(env(x))"),
    ("color", "red!important"),
    ("color", "r\\65 d"),
    ("color", "red/**/"),
    ("background-color", "cross-fade(red, blue)"),
    ("font-family", "a}b{c"),
    ("font-family", '"a'),
    ("font-family", "@import"),
    ("font-family", "x" * 201),
    ("font-size", "1px"),
    ("font-size", "100vw"),
    ("font-size", "900px"),
    ("font-size", "calc(1px + 1vw)"),
    ("line-height", "normal"),
    ("letter-spacing", "-100px"),
    ("padding", "-4px"),
    ("padding", "1px 1px 1px 1px 1px"),
    ("text-align", "justify"),
    ("constructor", "red"),
    ("__proto__", "red"),
    ("color", ["red"]),
    ("color", {"toString": "red"}),
    ("color", None),
]


async def test_styles_are_on_a_list(ask):
    check = "argument.map(([name, value]) => m.allowed(name, value))"
    assert await ask("style", check, ALLOWED) == [True] * len(ALLOWED)
    found = await ask("style", check, REFUSED)
    assert [pair for pair, taken in zip(REFUSED, found, strict=True) if taken] == []


async def test_luhn_is_that_of_the_vault(ask):
    numbers = [f"{n * 7919:012d}" for n in range(2000)]
    found = await ask("digits", "argument.map(m.luhnValid)", numbers)
    assert found == [luhn_valid(number) for number in numbers]
    assert 100 < sum(found) < 300
