"""People type, paste, correct and let the browser fill in; what they see is what they mean."""

from __future__ import annotations

from contextlib import suppress

import pytest
from playwright.async_api import Error

from tests.harness.browser import frame_of, seen_by
from tests.harness.mounting import box, events, message, mount
from tests.harness.waiting import until

CARD = (("number", "a"), ("expiry", "b"), ("cvc", "c"))
AMEX = "378282246310005"


async def caret(locator) -> int:
    return await locator.evaluate("(input) => input.selectionStart")


async def paste(page, locator, text: str) -> None:
    """What a browser does with text from the clipboard."""
    await locator.focus()
    await page.keyboard.insert_text(text)


async def test_a_number_is_grouped_as_it_is_typed_and_corrected_in_the_middle(page, shop):
    await mount(page, shop, ("number", "a"))
    number = box(page, "a", "number")
    await number.press_sequentially("4242424242424242")
    assert await number.input_value() == "4242 4242 4242 4242"
    for _ in range(12):
        await number.press("ArrowLeft")
    assert await caret(number) == 7
    await number.press("Backspace")
    assert (await number.input_value(), await caret(number)) == ("4242 4424 2424 242", 6)
    await number.press("2")
    assert (await number.input_value(), await caret(number)) == ("4242 4242 4242 4242", 7)


async def test_deletion_over_a_space_takes_the_digit(page, shop):
    await mount(page, shop, ("number", "a"))
    number = box(page, "a", "number")
    await number.press_sequentially("424256")
    await number.evaluate("(input) => input.setSelectionRange(5, 5)")
    await number.press("Backspace")
    assert (await number.input_value(), await caret(number)) == ("4245 6", 3)
    await number.evaluate("(input) => input.setSelectionRange(4, 4)")
    await number.press("Delete")
    assert await number.input_value() == "4245"


async def test_a_date_is_completed_as_it_is_typed(page, shop):
    await mount(page, shop, ("expiry", "a"))
    date = box(page, "a", "expiry")
    await date.press_sequentially("1")
    assert await date.input_value() == "1"
    await date.press_sequentially("/3")
    assert await date.input_value() == "01 / 3"
    for _ in range(2):
        await date.press("Backspace")
    assert await date.input_value() == "0"
    await date.press("Backspace")
    await date.press_sequentially("431")
    assert await date.input_value() == "04 / 31"


@pytest.mark.parametrize(
    "pasted", ["4242-4242-4242-4242", "4242\u00a04242\u00a04242\u00a04242", "４２４２４２４２４２４２４２４２"]
)
async def test_numbers_are_pasted_as_they_come(page, shop, pasted):
    await mount(page, shop, ("number", "a"))
    await paste(page, box(page, "a", "number"), pasted)
    assert await box(page, "a", "number").input_value() == "4242 4242 4242 4242"


async def test_the_brand_decides_how_long_the_code_is(page, shop):
    await mount(page, shop, *CARD)
    await paste(page, box(page, "a", "number"), AMEX)
    await box(page, "c", "cvc").press_sequentially("12345")
    assert await box(page, "c", "cvc").input_value() == "1234"
    assert [detail["brand"] for detail in await events(page, "brand")] == ["amex"]
    await box(page, "a", "number").fill("4242424242424242")
    await until(lambda: page.evaluate("one.events.filter(([name]) => name === 'brand').length === 2"))
    await box(page, "c", "cvc").press("End")
    await box(page, "c", "cvc").press("Backspace")
    await box(page, "c", "cvc").blur()
    assert await message(page, "c", "cvc").text_content() == ""


async def test_mistakes_are_shown_as_a_field_is_left_and_go_as_they_are_mended(page, shop):
    await mount(page, shop, *CARD)
    number = box(page, "a", "number")
    await paste(page, number, "4242424242424241")
    assert await message(page, "a", "number").text_content() == ""
    await number.press("Tab")
    shown = "Your card number is not right. Please check it."
    assert await message(page, "a", "number").text_content() == shown
    assert await number.get_attribute("aria-invalid") == "true"
    assert await number.get_attribute("aria-describedby") == "number-message"
    await page.locator("#a.panless-invalid").wait_for()
    last = (await events(page, "change"))[-1]
    assert last == {
        "field": "number",
        "empty": False,
        "complete": False,
        "valid": False,
        "brand": "visa",
        "error": {"code": "number_invalid", "field": "number", "message": shown},
    }
    await number.press("End")
    await number.press("Backspace")
    await number.press("2")
    assert await message(page, "a", "number").text_content() == ""
    await page.locator("#a.panless-complete:not(.panless-invalid)").wait_for()


async def test_tab_goes_through_the_fields_in_the_order_of_the_page(page, shop):
    await mount(page, shop, *CARD)
    await page.evaluate("one.number.focus()")
    await page.locator("#a.panless-focus").wait_for()
    for digit, place, name in (("4", "a", "number"), ("1", "b", "expiry"), ("7", "c", "cvc")):
        await page.locator(f"#{place}.panless-focus").wait_for()
        await page.keyboard.type(digit)
        assert await box(page, place, name).input_value() == digit
        await page.keyboard.press("Shift+Tab" if name == "cvc" else "Tab")
    await page.locator("#b.panless-focus").wait_for()
    assert await page.locator(".panless-focus").count() == 1
    await page.keyboard.press("Enter")
    await until(lambda: page.evaluate("one.events.some(([name]) => name === 'enter')"))


async def test_the_browser_fills_in_a_card_across_the_frames(page, shop, witness):
    """As from the browser's own list of cards: one choice fills in all frames, and the name on the shop's page."""
    await page.goto(shop.url)
    for name, _ in CARD:
        await box(page, name, name).wait_for()
    session = await witness.context.new_cdp_session(frame_of(page, "number"))
    await session.send("DOM.enable")
    frame = (await session.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
    found = await session.send("Runtime.evaluate", {"expression": "document.querySelector('[name=number]')"})
    node = (await session.send("DOM.describeNode", {"objectId": found["result"]["objectId"]}))["node"]
    card = {"number": "4242424242424242", "name": "Ada", "expiryMonth": "12", "expiryYear": "2030", "cvc": "123"}

    async def filled() -> bool:
        """The browser looks for forms now and then: what it has not seen yet it does not fill in."""
        await box(page, "number", "number").click()
        with suppress(Error):
            chosen = {"fieldId": node["backendNodeId"], "frameId": frame, "card": card}
            await session.send("Autofill.trigger", chosen)
        return await page.locator("#cvc.panless-complete").count() == 1

    await until(filled)
    values = [await box(page, name, name).input_value() for name, _ in CARD]
    assert values[0] == "4242 4242 4242 4242" and values[1] in ("12 / 30", "12 / 2030") and values[2] == "123"
    assert await page.input_value("#holder") == "Ada"
    assert "4242424242424242" not in await seen_by(page, witness, shop.url)


async def test_what_is_filled_into_a_catcher_goes_to_its_field_and_nowhere_else(page, shop):
    await mount(page, shop, ("number", "a"), ("expiry", "b"))
    fill = """([name, text]) => {
      const input = document.querySelector(`[name=other-${name}]`);
      input.value = text;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      return [input.value, input.tabIndex, input.autocomplete, input.closest("[aria-hidden=true]") !== null];
    }"""
    frame = frame_of(page, "number")
    assert await frame.evaluate(fill, ["expiry", "12/2030"]) == ["", -1, "cc-exp", True]
    assert await frame.evaluate(fill, ["cvc", "123"]) == ["", -1, "cc-csc", True]
    assert await box(page, "b", "expiry").input_value() == "12 / 2030"
    held = await frame.evaluate("[...document.querySelectorAll('input')].map((input) => input.value)")
    assert held == ["", "", ""]
    assert await frame_of(page, "expiry").evaluate(fill, ["number", "4242424242424242"]) == ["", -1, "cc-number", True]
    assert await box(page, "a", "number").input_value() == "4242 4242 4242 4242"


@pytest.mark.parametrize(
    ("field", "keyboard", "autofill"), [("number", "numeric", "cc-number"), ("iban", "text", "off")]
)
async def test_phones_show_the_right_keyboard(page, shop, field, keyboard, autofill):
    await mount(page, shop, (field, "a"))
    assert await box(page, "a", field).get_attribute("inputmode") == keyboard
    assert await box(page, "a", field).get_attribute("autocomplete") == autofill


async def test_digits_run_from_left_to_right_in_arabic(page, shop):
    await mount(page, shop, ("number", "a"), locale="ar-EG")
    assert await frame_of(page, "number").evaluate("[document.dir, document.documentElement.lang]") == ["rtl", "ar"]
    styles = await box(page, "a", "number").evaluate(
        "(i) => [getComputedStyle(i).direction, getComputedStyle(i).textAlign]"
    )
    assert styles == ["ltr", "right"]
    assert await page.locator("#a iframe").get_attribute("title") == "إدخال آمن لرقم البطاقة"
