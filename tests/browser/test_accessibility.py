"""Everyone can pay: axe finds nothing in any field; and pictures of what people see, under build/screenshots/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.harness.mounting import box, message, mount
from tests.harness.waiting import until

PICTURES = Path(__file__).parents[2] / "build" / "screenshots"
PHONE, DESKTOP = {"width": 390, "height": 760}, {"width": 1100, "height": 800}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# These are about whole pages, which a frame is not.
OF_PAGES = ["page-has-heading-one", "landmark-one-main", "region"]
AXE = Axe().axe_script
WRONG = {
    "number": "4242424242424241",
    "expiry": "0120",
    "cvc": "1",
    "iban": "DE00",
    "account": "1",
    "routing": "123456789",
}


async def found(page) -> list[str]:
    """What axe finds in the page and in each of its frames."""
    violations = []
    behind = await page.evaluate("getComputedStyle(document.querySelector('.box')).backgroundColor")
    for frame in page.frames:
        if await frame.evaluate("typeof axe") == "undefined":
            await frame.evaluate(AXE)
        options = {"runOnly": RULES, "iframes": False, "resultTypes": ["violations"]}
        if frame is not page.main_frame:
            # A field has no background, and axe sees no further than the frame: it is told what is behind.
            await frame.evaluate("(color) => (document.body.style.backgroundColor = color)", behind)
            options["rules"] = {name: {"enabled": False} for name in OF_PAGES}
        result = await frame.evaluate("(options) => axe.run(document, options)", options)
        violations += [f"{each['id']}: {each['nodes'][0]['html']}" for each in result["violations"]]
    return violations


@pytest.mark.parametrize(("language", "look"), [("de", ""), ("ar", ""), ("en", "dark")])
async def test_axe_finds_nothing(page, shop, witness, language, look):
    places = {"number": "a", "expiry": "b", "cvc": "c", "iban": "d", "account": "e", "routing": "f"}
    fields = list(places.items())[: 2 if look else None]
    await mount(page, shop, *fields, open_page=f"/places?lang={language}&look={look}")
    if language == "de":
        assert await found(page) == []
    for name, place in fields:
        await box(page, place, name).fill(WRONG[name])
        await box(page, place, name).blur()
    for name, place in fields:
        assert await message(page, place, name).text_content() != ""
    assert await found(page) == []
    assert witness.complaints == []


async def test_axe_finds_nothing_in_a_whole_card_and_would_find_something(page, shop):
    await mount(page, shop, ("card", "a"))
    await page.evaluate("one.group.tokenize().catch(() => 0)")
    assert await message(page, "a", "cvc").text_content() == "Please enter the security code of your card."
    assert await found(page) == []
    await box(page, "a", "cvc").evaluate("(input) => input.removeAttribute('aria-label')")
    await box(page, "a", "cvc").evaluate("(input) => input.removeAttribute('placeholder')")
    assert "label" in [each.split(":")[0] for each in await found(page)]


async def test_a_dark_page_has_dark_fields(page, shop):
    await mount(page, shop, ("number", "a"), open_page="/places?look=dark")
    colors = "(input) => [getComputedStyle(input).color, getComputedStyle(document.documentElement).colorScheme]"
    assert await box(page, "a", "number").evaluate(colors) == ["rgb(242, 242, 242)", "dark"]
    await mount(page, shop, ("number", "a"), style={"colorScheme": "dark"})
    assert (await box(page, "a", "number").evaluate(colors))[1] == "dark"


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, as `rgb(...)` (WCAG 2.2)."""

    def luminance(color: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"[0-9]+", color)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("look", ["", "dark"])
async def test_placeholders_can_be_read(page, shop, look):
    """axe does not look at them."""
    await mount(page, shop, ("number", "a"), open_page=f"/places?look={look}")
    color = await box(page, "a", "number").evaluate("(input) => getComputedStyle(input, '::placeholder').color")
    assert contrast(color, await page.evaluate("getComputedStyle(document.querySelector('#a')).backgroundColor")) >= 4.5


async def test_a_page_that_follows_the_device_is_followed(page, shop):
    await page.goto(shop.url + "/places")
    await page.evaluate("document.documentElement.style.colorScheme = 'light dark'")
    await mount(page, shop, ("number", "a"), open_page="")
    scheme = "() => getComputedStyle(document.documentElement).colorScheme"
    assert await box(page, "a", "number").evaluate(scheme) == "light"
    await page.emulate_media(color_scheme="dark")
    await until(lambda: page.evaluate("getComputedStyle(document.querySelector('iframe')).colorScheme === 'dark'"))
    assert await box(page, "a", "number").evaluate(scheme) == "dark"


async def test_mistakes_can_be_left_to_the_page(page, shop):
    await mount(page, shop, ("number", "a", {"messages": False}))
    await box(page, "a", "number").fill("4242")
    await box(page, "a", "number").blur()
    shown = await message(page, "a", "number").evaluate("(p) => [p.offsetWidth, p.offsetHeight, p.textContent]")
    assert shown == [1, 1, "Your card number is incomplete."]


@pytest.mark.parametrize(("size", "viewport"), [("phone", PHONE), ("desktop", DESKTOP)])
async def test_pictures_of_a_checkout(page, shop, size, viewport):
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.set_viewport_size(viewport)
    for lang, look in (("en", ""), ("ar", ""), ("en", "dark")):
        await page.goto(f"{shop.url}/?lang={lang}&look={look}")
        await box(page, "cvc", "cvc").wait_for()
        if (lang, look) == ("en", ""):
            await page.screenshot(path=PICTURES / f"{size}-empty.png")
        await box(page, "number", "number").fill("4242424242424241")
        await box(page, "expiry", "expiry").fill("1230")
        await box(page, "cvc", "cvc").focus()
        await page.locator("#number.panless-invalid").wait_for()
        await page.screenshot(path=PICTURES / f"{size}-{lang}{look}.png")
    await mount(page, shop, ("card", "a"), ("iban", "b"))
    await box(page, "b", "iban").fill("DE89370400440532013000")
    await box(page, "a", "number").fill("378282246310005")
    await box(page, "a", "expiry").press_sequentially("1")
    await page.screenshot(path=PICTURES / f"{size}-card.png")
