"""A shop's page of ten lines takes a card; and what else its page may ask for."""

from __future__ import annotations

import json

import pytest

from tests.harness.mounting import box, events, message, mount, tokenize
from tests.harness.shop_page import CHECKOUT

VISA = "4242424242424242"


async def test_ten_lines_take_a_card(page, shop, witness, hosted):
    assert len(CHECKOUT.strip().splitlines()) == 10
    await page.goto(shop.url)
    await page.fill("#holder", "Ada Lovelace")
    for name, typed in (("number", VISA), ("expiry", "1230"), ("cvc", "123")):
        await box(page, name, name).press_sequentially(typed)
    await page.click("button")
    await page.locator("#result", has_text="Paid").wait_for()
    paid = json.loads(shop.paid[0])
    assert paid["brand"] == "visa" and paid["last4"] == "4242" and paid["expiry"] == "12/2030"
    assert paid["name"].startswith("tok_")
    charged = await hosted.charged({"number": paid["token"], "cvc": paid["cvc"]})
    assert charged == {"number": VISA, "cvc": "123"}
    assert witness.complaints == []


async def test_mistakes_are_shown_before_anything_is_sent(page, shop, witness):
    await page.goto(shop.url)
    await box(page, "number", "number").fill(VISA[:-1] + "1")
    await page.click("button")
    await page.locator("#result", has_text="Your card number is not right. Please check it.").wait_for()
    await page.locator("#number.panless-focus.panless-invalid").wait_for()
    assert await message(page, "expiry", "expiry").text_content() == "Please enter the expiry date of your card."
    assert await message(page, "cvc", "cvc").text_content() == "Please enter the security code of your card."
    assert [request.url for request in witness.requests if request.method == "POST"] == []


async def test_a_whole_card_in_one_frame(page, shop):
    await mount(page, shop, ("card", "a"))
    for name, typed in (("number", "378282246310005"), ("expiry", "0431"), ("cvc", "1234")):
        await box(page, "a", name).fill(typed)
    await page.locator("#a.panless-complete").wait_for()
    taken = await tokenize(page)
    assert (taken["brand"], taken["last4"], taken["expiry"]) == ("amex", "0005", "04/2031")
    assert taken["token"].startswith("tok_") and taken["cvc"].startswith("cvc_")


async def test_two_forms_do_not_disturb_each_other(page, shop, hosted):
    await mount(page, shop, ("number", "a"), ("cvc", "b"))
    await mount(page, shop, ("number", "c"), ("cvc", "d"), open_page="", as_name="two")
    for place, typed in (("a", VISA), ("c", "378282246310005")):
        await box(page, place, "number").fill(typed)
    await box(page, "b", "cvc").fill("1234")
    await box(page, "d", "cvc").fill("1234")
    assert await box(page, "b", "cvc").input_value() == "123"
    assert await box(page, "d", "cvc").input_value() == "1234"
    first, second = await tokenize(page), await tokenize(page, "two")
    assert (first["last4"], second["last4"]) == ("4242", "0005")
    assert {detail["brand"] for detail in await events(page, "brand")} == {"visa"}
    charged = await hosted.charged({"number": second["token"], "cvc": second["cvc"]})
    assert charged == {"number": "378282246310005", "cvc": "1234"}


async def test_a_saved_card_gets_a_new_code(page, shop, hosted):
    await mount(page, shop, ("number", "a"))
    await box(page, "a", "number").fill(VISA)
    saved = (await tokenize(page))["token"]
    await mount(page, shop, ("cvc", "b"), token=saved)
    await box(page, "b", "cvc").fill("987")
    renewed = await tokenize(page)
    assert renewed["token"] == saved and renewed.keys() == {"token", "cvc"}
    charged = await hosted.charged({"number": saved, "cvc": renewed["cvc"]})
    assert charged == {"number": VISA, "cvc": "987"}


async def test_bank_accounts(page, shop):
    await mount(page, shop, ("iban", "a"))
    await box(page, "a", "iban").press_sequentially("de89370400440532013000")
    assert await box(page, "a", "iban").input_value() == "DE89 3704 0044 0532 0130 00"
    taken = await tokenize(page)
    assert taken["token"].startswith("tok_") and taken["last4"] == "3000"
    await mount(page, shop, ("routing", "a"), ("account", "b"))
    await box(page, "a", "routing").fill("021000022")
    await box(page, "b", "account").fill("000123456789")
    refused = (await tokenize(page))["error"]
    assert (refused["code"], refused["field"]) == ("routing_invalid", "routing")
    await box(page, "a", "routing").fill("021000021")
    taken = await tokenize(page)
    assert taken["token"].startswith("tok_") and taken["routing"].startswith("tok_")


@pytest.mark.parametrize("payload", [{"paymentData": {"version": "EC_v1"}}, '{"signature": "MEUC"}'])
async def test_payloads_of_wallets_are_tokens(page, shop, payload):
    await page.goto(shop.url + "/places")
    script = "([key, payload]) => Panless(key).wallet('google_pay', payload)"
    taken = await page.evaluate(script, [shop.key, payload])
    assert taken["wallet"] == "google_pay" and taken["token"].startswith("tok_")


async def test_the_module_is_the_script(page, shop, hosted):
    await page.goto(shop.url + "/places")
    url = shop.script.replace(".js", ".mjs")
    found = await page.evaluate(
        "async ([url, key]) => { const m = await import(url); const group = m.default(key).fields();"
        " const field = group.create('number'); const ready = new Promise((done) => field.on('ready', done));"
        " field.mount('#a'); await ready; return m.Panless === m.default; }",
        [url, shop.key],
    )
    assert found is True


MISUSE = [
    ("Panless('sk_live_1')", "publishable one"),
    ("Panless(key, { colour: 1 })", 'no option "colour"'),
    ("Panless(key).fields({ theme: 1 })", 'no option "theme"'),
    ("Panless(key).fields().create('pin')", 'no field "pin"'),
    ("Panless(key).fields().create('cvc', { size: 1 })", 'no option "size"'),
    ("Panless(key).fields().create('cvc').mount('#nowhere')", 'no element "#nowhere"'),
    ("Panless(key).fields().create('cvc').mount(document.createElement('p'))", "not in the document"),
    ("((field) => field.mount('#a').mount('#b'))(Panless(key).fields().create('cvc'))", "mounted already"),
    (
        "((group) => [group.create('cvc').mount('#c'), group.create('number').mount('#c')])(Panless(key).fields())",
        "there",
    ),
    ("((group) => [group.create('cvc'), group.create('cvc')])(Panless(key).fields())", "cvc field already"),
    (
        "Panless(key).fields().create('cvc').mount(document.querySelector('#f').attachShadow({ mode: 'open' }))",
        "no element",
    ),
    (
        "((box) => (document.querySelector('#e').attachShadow({ mode: 'open' }).append(box),"
        " Panless(key).fields().create('cvc').mount(box)))(document.createElement('p'))",
        "shadow root",
    ),
    ("Panless(key).fields().on('click', () => 0)", 'no event "click"'),
    ("Panless(key).fields().on('ready', 'x')", "has to be a function"),
    ("Panless(key).fields().tokenize({ amount: 1 })", 'no option "amount"'),
    ("Panless(key).fields().tokenize()", "no field of this group is mounted"),
    ("Panless(key).wallet('cash', {})", "apple_pay or google_pay"),
    ("Panless(key).wallet('apple_pay')", "object or text"),
]


_CAUGHT = "try { await (%s); return 'done'; } catch (error) { return String(error); }"


async def test_mistakes_of_developers_are_told_at_once(page, shop):
    await page.goto(shop.url + "/places")
    for script, words in MISUSE:
        told = await page.evaluate(f"async (key) => {{ {_CAUGHT % script} }}", shop.key)
        assert told.startswith("TypeError: Panless: ") and words in told, (script, told)


async def test_fields_are_cleared_and_unmounted(page, shop):
    await mount(page, shop, ("number", "a"), ("cvc", "b"))
    await box(page, "a", "number").fill(VISA)
    await page.locator("#a.panless-complete").wait_for()
    await page.evaluate("one.number.clear()")
    await page.locator("#a.panless-empty:not(.panless-complete)").wait_for()
    assert await box(page, "a", "number").input_value() == ""
    await page.evaluate("one.number.unmount()")
    assert await page.locator("#a iframe").count() == 0
    assert await page.get_attribute("#a", "class") == "box"
    ready = page.evaluate("new Promise((done) => { one.number.on('ready', done); one.number.mount('#c'); })")
    assert await ready == {"field": "number"}


async def test_a_label_of_the_page_leads_into_its_field(page, shop):
    await page.goto(shop.url)
    await box(page, "expiry", "expiry").wait_for()
    await page.click("label[for=expiry]")
    await page.locator("#expiry.panless-focus").wait_for()


async def test_tokenize_waits_for_fields_that_are_loading(page, shop):
    await page.goto(shop.url + "/places")
    script = """(key) => {
      const group = Panless(key).fields();
      for (const [type, place] of [["number", "#a"], ["cvc", "#b"]]) group.create(type).mount(place);
      return group.tokenize().catch((error) => [error.code, error.field]);
    }"""
    assert await page.evaluate(script, shop.key) == ["number_missing", "number"]


async def test_a_field_that_is_moved_is_ready_again_and_empty(page, shop):
    await mount(page, shop, ("number", "a"))
    await box(page, "a", "number").fill(VISA)
    await page.locator("#a.panless-complete").wait_for()
    again = (
        "new Promise((done) => { one.number.on('ready', done); document.body.append(document.querySelector('#a')); })"
    )
    await page.evaluate(again)
    await page.locator("#a.panless-empty").wait_for()
    await box(page, "a", "number").fill(VISA)
    assert (await tokenize(page))["last4"] == "4242"
