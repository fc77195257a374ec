"""The shop's page never holds what is typed, whatever its scripts try."""

from __future__ import annotations

import re

import pytest

from tests.harness.browser import frame_of, seen_by
from tests.harness.mounting import box, events, fill_in, mount, tokenize
from tests.harness.shop_page import Shop, selling
from tests.harness.waiting import until

VISA = "4242424242424242"
CVC = "739"
# However it is grouped, and in any encoding of a URL.
TYPED = re.compile(r"(?:4242(?:[ +-]|%20|&nbsp;|\u00a0)?){3}4242|\b739\b")
PARTS = (("number", "a", VISA), ("expiry", "b", "1230"), ("cvc", "c", CVC))


async def held(page, witness, shop) -> list[str]:
    return TYPED.findall(await seen_by(page, witness, shop.url))


@pytest.mark.parametrize("leak", ["none", "message", "console", "request"])
async def test_the_page_never_holds_what_is_typed(page, shop, witness, leak):
    """Its document, storage, console, messages and requests are searched; with a hole in the frame, it is found."""
    holes = {
        "message": "parent.postMessage(`x${part.input.value}`, '*')",
        "console": "console.log(part.input.value)",
        "request": f"parent.postMessage(0, '*'); new Image().src = '{shop.url}/icon?' + part.input.value",
    }
    if leak != "none":

        async def pierced(route):
            answer = await route.fetch()
            text = (await answer.text()).replace("function heard(event, part) {", "$&" + holes[leak] + ";", 1)
            text = text.replace("$&", "function heard(event, part) {")
            assert holes[leak] in text
            headers = {name: value for name, value in answer.headers.items() if "policy" not in name}
            await route.fulfill(status=200, body=text, headers=headers)

        await page.route(re.compile("/frame/main.js$"), pierced)
        if leak == "request":
            await page.route(re.compile(r"/v1/frame\?"), without_policy)
    await mount(page, shop, *(part[:2] for part in PARTS))
    await fill_in(page, *PARTS)
    taken = await tokenize(page, name="Ada Lovelace")
    await page.evaluate("(card) => fetch('/pay', { method: 'POST', body: JSON.stringify(card) })", taken)
    assert taken["token"].startswith("tok_")
    assert bool(await held(page, witness, shop)) == (leak != "none")
    assert TYPED.search(shop.paid[0]) is None
    if leak == "none":
        assert witness.complaints == []


async def without_policy(route) -> None:
    answer = await route.fetch()
    headers = {name: text for name, text in answer.headers.items() if name != "content-security-policy"}
    await route.fulfill(response=answer, headers=headers)


READING = [
    "frame.contentDocument && 'read'",
    "frame.contentWindow.document",
    "frame.contentWindow.panlessField",
    "frame.contentWindow.name.length",
    "frame.contentWindow.eval('1')",
    "frame.contentWindow.document.cookie",
]


async def test_the_page_cannot_reach_into_a_frame(page, shop):
    await mount(page, shop, ("number", "a"))
    await fill_in(page, PARTS[0])
    for script in READING:
        told = await page.evaluate(
            f"() => {{ const frame = document.querySelector('#a iframe');"
            f" try {{ return ({script}) ?? 'nothing'; }} catch (error) {{ return error.name; }} }}"
        )
        assert told in ("nothing", "SecurityError"), script


async def test_a_frame_of_the_page_with_the_same_channel_learns_nothing(page, shop, witness):
    """The page puts a frame of its own, and one more of the fields' with the same channel, beside the real one."""
    await mount(page, shop, ("number", "a"))
    await fill_in(page, PARTS[0])
    url = await page.evaluate("document.querySelector('#a iframe').src")
    spy = """([url]) => new Promise((done) => {
      const made = (src) => Object.assign(document.createElement("iframe"), { src });
      const frames = [url, location.origin + "/places"].map(made);
      addEventListener("message", ({ data }) => data.type === "loaded" && done(data));
      document.body.append(...frames);
      window.spies = frames;
    })"""
    loaded = await page.evaluate(spy, [url])
    channel = loaded["panless"]
    ask = """([channel, origin]) => {
      for (const frame of document.querySelectorAll("iframe")) {
        for (const type of ["init", "check", "tokenize", "read", "fill", "constructor", "__proto__"]) {
          frame.contentWindow.postMessage({ panless: channel, type, id: 7, session: "x", options: {} }, "*");
        }
      }
    }"""
    await page.evaluate(ask, [channel, shop.fields])
    await until(lambda: page.evaluate("window.messages.filter((text) => text.includes('\"id\":7')).length >= 2"))
    assert await held(page, witness, shop) == []
    error = (await tokenize(page))["error"]
    assert (error["code"], error["field"]) == ("field_repeated", "number")


async def test_a_frame_of_the_page_is_not_taken_for_a_sibling(page, shop, witness):
    """It says that it belongs to the group, and waits for what siblings tell each other."""
    await mount(page, shop, ("number", "a"))
    await fill_in(page, PARTS[0])
    url = await page.evaluate("document.querySelector('#a iframe').src")
    script = """([src]) => new Promise((done) => {
      const frame = Object.assign(document.createElement("iframe"), { src: "/places" });
      frame.addEventListener("load", () => {
        const { key, origin, channel } = Object.fromEntries(new URL(src).searchParams);
        const part = { name: "cvc", rule: {}, brand: null, told() {}, show() {}, check: () => null, sent: () => "123" };
        const parts = () => (window.asked = true) && [part];
        frame.contentWindow.panlessField = { key, origin, channel, parts };
        done();
      });
      document.body.append(frame);
    })"""
    await page.evaluate(script, [url])
    spy = next(frame for frame in page.frames[1:] if frame.url == shop.url + "/places")
    reach = "() => { try { return parent.frames[0].panlessField; } catch (error) { return error.name; } }"
    assert await spy.evaluate(reach) == "SecurityError"
    taken = await tokenize(page)
    assert taken["last4"] == "4242" and "cvc" not in taken
    assert await page.evaluate("window.asked ?? 'never'") == "never"
    assert await held(page, witness, shop) == []


async def test_messages_of_others_are_not_taken_for_a_fields(page, shop):
    await mount(page, shop, ("number", "a"))
    before = await page.evaluate("one.events.length")
    spoof = """() => new Promise((done) => {
      const channel = JSON.parse(window.messages.find((text) => text.includes("loaded"))).panless;
      const spoofed = { panless: channel, type: "change", state: { complete: true, valid: true, empty: false } };
      window.postMessage(spoofed, "*");
      const frame = document.querySelector("#a iframe");
      const source = frame.contentWindow;
      const origin = new URL(frame.src).origin;
      for (const init of [
        { data: spoofed, source, origin: location.origin },
        { data: spoofed, source: window, origin },
        { data: { ...spoofed, panless: "other" }, source, origin },
      ]) dispatchEvent(new MessageEvent("message", init));
      setTimeout(done, 50);
    })"""
    await page.evaluate(spoof)
    assert await page.evaluate("one.events.length") == before
    assert await page.locator("#a.panless-complete").count() == 0


async def test_a_frame_hears_its_own_page_only(page, shop):
    """A frame between the page and the field, or one beside it, has the channel and is not heard."""
    await mount(page, shop, ("number", "a"))
    await fill_in(page, PARTS[0])
    channel = await page.evaluate("JSON.parse(window.messages[0]).panless")
    field = frame_of(page, "number")
    await mount(page, shop, ("number", "b"), open_page="", as_name="two")
    other = frame_of(page, "number", 1)
    await other.evaluate(
        "([channel]) => parent.frames[0].postMessage({ panless: channel, type: 'clear' }, '*')", [channel]
    )
    await page.evaluate(
        "() => document.querySelector('#a iframe').contentWindow.postMessage({ panless: 'x', type: 'clear' }, '*')"
    )
    await tokenize(page)
    assert await field.evaluate("document.querySelector('input').value") == "4242 4242 4242 4242"


async def test_a_page_that_lays_something_over_a_field_sees_no_keys(page, shop, witness):
    """Keys go where the focus is: into the frame. The page hears of none of them, nor of a clipboard or of a drag."""
    await mount(page, shop, ("number", "a"))
    await page.evaluate(
        """() => {
          window.heard = [];
          const names = ["keydown", "keypress", "keyup", "input", "beforeinput", "paste", "copy", "cut", "change"];
          for (const name of names) addEventListener(name, (event) => heard.push(name + (event.key ?? "")), true);
          const cover = document.createElement("div");
          const box = document.querySelector("#a").getBoundingClientRect();
          const looks = { position: "fixed", left: `${box.x}px`, top: `${box.y}px`, width: "300px", height: "60px" };
          Object.assign(cover.style, looks);
          cover.id = "cover";
          document.body.append(cover);
        }"""
    )
    await page.evaluate("one.number.focus()")
    await page.locator("#a.panless-focus").wait_for()
    await page.keyboard.type(VISA)
    await page.keyboard.press("Control+A")
    await page.keyboard.press("Control+C")
    assert await box(page, "a", "number").input_value() == "4242 4242 4242 4242"
    assert await page.evaluate("heard") == []
    assert await page.evaluate("getSelection().toString()") == ""
    assert await held(page, witness, shop) == []


async def test_last_digits_are_told_once_the_number_is_left(page, shop):
    """Digit by digit, they would be the number."""
    await mount(page, shop, ("number", "a"))
    await fill_in(page, ("number", "a", VISA))  # complete, and perhaps the beginning of a longer one
    await page.locator("#a.panless-complete").wait_for()
    assert [state.get("last4") for state in await events(page, "change")] == [None] * len(await events(page, "change"))
    await page.keyboard.press("Tab")
    await until(lambda: page.evaluate("one.events.some(([, detail]) => detail.last4 === '4242')"))
    allowed = {"field", "empty", "complete", "valid", "error", "brand", "last4"}
    assert all(state.keys() <= allowed for state in await events(page, "change"))


async def test_the_height_of_a_field_does_not_tell_what_is_typed(page, shop):
    await mount(
        page, shop, ("number", "a", {"style": {"base": {"fontFamily": "monospace, cursive", "lineHeight": "2"}}})
    )
    heights = "window.messages.map(JSON.parse).filter(({ type }) => type === 'height').map(({ height }) => height)"
    await until(lambda: page.evaluate(f"{heights}.length > 0"))
    before = set(await page.evaluate(heights))
    await fill_in(page, ("number", "a", "123 457"))
    assert set(await page.evaluate(heights)) == before


async def test_a_page_of_another_origin_may_not_ask_for_sessions_or_tokens(page, shop, hosted):
    async with selling(Shop(shop.fields, shop.key)) as stranger:
        await page.goto(stranger.url + "/places")
        ask = """async ([url, body]) => {
          const headers = { "Content-Type": "application/json" };
          const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
          return [answer.status, (await answer.json()).code];
        }"""
        assert await page.evaluate(ask, [shop.fields + "/v1/sessions", {"key": shop.key}]) == [
            403,
            "origin_not_allowed",
        ]
        session = await hosted.session(shop.url, shop.key)
        body = {"session": session, "number": VISA}
        assert await page.evaluate(ask, [shop.fields + "/v1/tokens", body]) == [403, "origin_not_allowed"]
