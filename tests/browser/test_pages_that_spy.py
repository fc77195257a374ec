"""A hostile script in the shop's own page, and whoever comes to the browser later, learn no more than they are told."""

from __future__ import annotations

from playwright.async_api import Error, async_playwright

from tests.harness.browser import ARGUMENTS, executable, running_as_root
from tests.harness.mounting import box, mount, tokenize
from tests.harness.shop_page import Shop, selling
from tests.harness.waiting import until

# Sixteen digits of which the first twelve pass the Luhn check, too; so do thirteen of the second.
TWELVE, THIRTEEN = "4532015112857138", "4532015112830713"

# The page asks the frame itself to hand in whatever stands there, with a session of its own.
ASK = """async () => {
  const frame = document.querySelector("#a iframe");
  const url = new URL(frame.src);
  const [channel, key] = ["channel", "key"].map((name) => url.searchParams.get(name));
  const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key }) };
  const { session } = await (await fetch(url.origin + "/v1/sessions", init)).json();
  const answered = new Promise((resolve) => {
    addEventListener("message", ({ data }) => data.id === 1000 && resolve(data));
  });
  frame.contentWindow.postMessage({ panless: channel, type: "tokenize", id: 1000, session }, url.origin);
  return (await answered).result?.last4 ?? null;
}"""


async def test_what_is_half_typed_is_not_tried_out_whatever_the_page_asks(page, shop):
    for number in (TWELVE, THIRTEEN):
        await mount(page, shop, ("number", "a"))
        for part in (number[:12], number[12:13], number[13:15]):
            await box(page, "a", "number").press_sequentially(part)
            assert await page.evaluate(ASK) is None
        await box(page, "a", "number").press_sequentially(number[15:])
        assert await page.evaluate(ASK) == number[-4:]


async def test_a_page_does_not_read_a_bank_account_piece_by_piece(page, shop):
    """Every beginning of an account number is one."""
    await mount(page, shop, ("account", "a", {"label": "Card number"}))
    for part in ("4532015112", "830366"):
        await box(page, "a", "account").press_sequentially(part)
        assert "last4" not in await tokenize(page)


async def test_markup_in_the_page_does_not_say_where_the_fields_are(page, shop):
    """An image named currentScript is found in place of the script's own element."""

    class Commented(Shop):
        def _page(self, request, content):
            answer = super()._page(request, content)
            image = '<img name="currentScript" src="http://127.0.0.1:1/x.png">'
            answer.text = answer.text.replace("<script", image + "<script", 1)
            return answer

    async with selling(Commented(shop.fields, shop.key)) as commented:
        await page.goto(commented.url + "/places")
        assert await page.evaluate("typeof Panless") == "undefined"


async def back_again(page) -> bool:
    try:
        return await page.evaluate("window.kept === true")
    except Error:  # it was asked between two pages
        return False


async def test_who_goes_back_after_paying_finds_no_card(shop):
    """Chromium, as people have it, keeps pages with all that was typed, and shows them again."""
    root = ["--no-sandbox"] if running_as_root() else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable(),
            args=[*ARGUMENTS, *root],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        page = await browser.new_page()
        await mount(page, shop, ("number", "a"), ("cvc", "c"))
        await box(page, "a", "number").press_sequentially(TWELVE)
        await box(page, "c", "cvc").press_sequentially("739")
        assert "token" in await tokenize(page)
        await page.evaluate("window.kept = true")
        await page.goto(shop.url)
        await page.evaluate("setTimeout(() => history.back(), 0)")
        await until(lambda: back_again(page))
        assert (await tokenize(page))["error"]["code"] == "number_missing"
        await browser.close()
