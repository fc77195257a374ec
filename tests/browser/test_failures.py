"""What can go wrong on the way, and what the customer and the page are told."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from tests.harness.mounting import box, events, fill_in, message, mount, tokenize
from tests.harness.shop_page import Shop, selling
from tests.harness.waiting import until

VISA = "4242424242424242"
FRAME = re.compile(r"/v1/frame\?")


async def ready_to_pay(page, shop) -> None:
    await mount(page, shop, ("number", "a"), ("expiry", "b"), ("cvc", "c"), locale="de")
    for place, name, typed in (("a", "number", VISA), ("b", "expiry", "1230"), ("c", "cvc", "123")):
        await box(page, place, name).fill(typed)


async def fail_with(page, path: str, status: int, document: object, **headers: str) -> None:
    body = json.dumps(document)
    allowed = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}

    async def answer(route):
        if route.request.method == "OPTIONS":
            return await route.continue_()
        return await route.fulfill(
            status=status, body=body, content_type="application/problem+json", headers=allowed | headers
        )

    await page.route(f"**{path}", answer)


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/tokens"])
async def test_a_failing_server_is_told_in_the_customers_language(page, shop, witness, path):
    await ready_to_pay(page, shop)
    await fail_with(page, path, 503, {"code": "database_unavailable", "retry": "safe"}, **{"Retry-After": "1"})
    error = (await tokenize(page))["error"]
    assert error["message"] == "Ihre Angaben konnten nicht gespeichert werden. Bitte versuchen Sie es noch einmal."
    assert error == error | {
        "code": "database_unavailable",
        "retry": "safe",
        "kind": "PanlessError",
        "name": "PanlessError",
    }
    await page.unroute(f"**{path}")
    assert (await tokenize(page))["last4"] == "4242"


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/tokens"])
async def test_too_many_attempts_say_when_to_come_back(page, shop, witness, path):
    await ready_to_pay(page, shop)
    await fail_with(page, path, 429, {"code": "velocity_exceeded", "retry": "safe"}, **{"Retry-After": "42"})
    error = (await tokenize(page))["error"]
    assert (error["code"], error["retryAfter"]) == ("velocity_exceeded", 42)
    assert error["message"].startswith("Zu viele Versuche.")


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/tokens"])
async def test_an_answer_that_is_none(page, shop, path):
    await ready_to_pay(page, shop)
    await fail_with(page, path, 200, ["what is this"])
    assert (await tokenize(page))["error"]["code"] == "tokenize_failed"


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/tokens"])
async def test_a_broken_line(page, shop, witness, path):
    await ready_to_pay(page, shop)
    await page.route(f"**{path}", lambda route: route.abort())
    error = (await tokenize(page))["error"]
    assert (error["code"], error["retry"]) == ("network_failed", "safe")
    assert error["message"].startswith("Die Verbindung ist fehlgeschlagen.")


async def test_a_value_that_panless_refuses_is_shown_in_its_field(page, shop, witness):
    await ready_to_pay(page, shop)
    told = {"code": "pan_invalid", "retry": "after_correction", "at": "number"}
    await fail_with(page, "/v1/tokens", 422, told)
    error = (await tokenize(page))["error"]
    assert (error["code"], error["field"]) == ("pan_invalid", "number")
    assert await message(page, "a", "number").text_content() == error["message"]
    assert error["message"] == "Ihre Kartennummer stimmt nicht. Bitte prüfen Sie sie."
    await page.locator("#a.panless-invalid.panless-focus").wait_for()


async def test_a_session_that_ended_is_replaced_once(page, shop, witness):
    await ready_to_pay(page, shop)
    asked = []

    async def first_ended(route):
        asked.append(json.loads(route.request.post_data)["session"])
        if len(asked) == 1:
            return await route.fulfill(status=403, body='{"code": "field_session_ended"}')
        return await route.continue_()

    await page.route("**/v1/tokens", first_ended)
    assert (await tokenize(page))["last4"] == "4242"
    assert len(set(asked)) == 2
    asked.clear()
    await page.unroute("**/v1/tokens")
    await fail_with(page, "/v1/tokens", 403, {"code": "field_session_ended"})
    assert (await tokenize(page))["error"]["code"] == "field_session_ended"


async def test_a_slow_network_only_takes_longer(timed, shop):
    held = asyncio.Event()

    async def slow(route):
        await held.wait()
        await route.continue_()

    await timed.route(FRAME, slow)
    mounting = asyncio.create_task(mount(timed, shop, ("number", "a")))
    await timed.locator("#a iframe").wait_for(state="attached")
    await timed.clock.run_for(9_000)
    assert await timed.evaluate("one.events") == []
    held.set()
    await mounting
    assert await events(timed, "error") == []
    await box(timed, "a", "number").fill(VISA)
    assert (await tokenize(timed))["last4"] == "4242"


async def test_while_one_call_is_under_way_another_gets_its_outcome(page, shop, witness):
    await ready_to_pay(page, shop)
    both = await page.evaluate("Promise.all([one.group.tokenize(), one.group.tokenize()])")
    assert both[0] == both[1]
    assert len([request for request in witness.requests if request.url.endswith("/v1/tokens")]) == 1


async def test_a_frame_that_is_blocked_is_told_after_ten_seconds(timed, shop):
    await timed.route(FRAME, lambda route: route.abort())
    await timed.goto(shop.url + "/places")
    await timed.evaluate(
        "(key) => { const group = Panless(key).fields(); window.one = { group, events: [] };"
        " group.on('error', (detail) => one.events.push(['error', detail]));"
        " group.create('number').mount('#a'); }",
        shop.key,
    )
    await timed.clock.run_for(10_001)
    (told,) = await events(timed, "error")
    assert told["error"]["code"] == "field_unreachable"
    error = (await tokenize(timed))["error"]
    assert (error["code"], error["field"]) == ("field_unreachable", "number")
    assert "check your connection" in error["message"]


async def test_a_page_of_another_origin_gets_nothing(timed, shop):
    async with selling(Shop(shop.fields, shop.key)) as stranger:
        await timed.goto(stranger.url + "/places")
        await timed.evaluate(
            "(key) => { window.group = Panless(key).fields(); group.create('number').mount('#a'); }", shop.key
        )
        await timed.clock.run_for(10_001)
        error = await timed.evaluate("group.tokenize().catch((error) => error.code)")
        assert error == "field_unreachable"
        refused = await timed.evaluate(
            "(key) => Panless(key).wallet('google_pay', {}).catch((error) => error.code)", shop.key
        )
        assert refused == "origin_not_allowed"


_ALIEN_FRAME = """([url]) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.src = url;
  frame.addEventListener("load", () => setTimeout(() => done(window.messages.length), 100));
  document.body.append(frame);
})"""


@pytest.mark.parametrize("policy", ["kept", "lost"])
async def test_a_frame_on_a_page_that_it_was_not_made_for_stays_dark(page, shop, witness, policy):
    """The browser refuses it, as its policy says; and where that got lost, the frame itself shows and says nothing."""

    async def without_policy(route):
        answer = await route.fetch()
        headers = {name: text for name, text in answer.headers.items() if name != "content-security-policy"}
        await route.fulfill(response=answer, headers=headers)

    if policy == "lost":
        await page.route(FRAME, without_policy)
    async with selling(Shop(shop.fields, shop.key)) as stranger:
        await page.goto(stranger.url + "/places")
        query = f"key={shop.key}&origin={shop.url}&field=number&channel=0123456789abcdef&locale=en"
        assert await page.evaluate(_ALIEN_FRAME, [f"{shop.fields}/v1/frame?{query}"]) == 0
        assert await page.frames[1].locator("input").count() == 0
    assert any(request.url.endswith("/main.js") for request in witness.requests) == (policy == "lost")


async def test_messages_and_styles_that_are_refused_are_told(page, shop):
    style = {"base": {"color": "#123456", "backgroundImage": "url(https://evil.example/)"}, "hover": {}}
    await mount(page, shop, ("number", "a", {"style": style}))
    await until(lambda: page.evaluate("one.events.some(([name]) => name === 'error')"))
    (told,) = await events(page, "error")
    assert told["error"]["code"] == "style_refused"
    assert told["error"]["message"] == "Not on the list of styles, or not with this value: base.backgroundImage, hover."
    assert await box(page, "a", "number").evaluate("(i) => getComputedStyle(i).color") == "rgb(18, 52, 86)"


async def test_what_a_page_puts_together_wrongly_is_a_mistake_of_the_page(page, shop):
    """None of these is the customer's to mend, and none is asked of Panless."""
    await mount(page, shop, ("number", "a"), ("iban", "b"))
    assert "do not go together" in (await tokenize(page))["error"]["message"]
    await mount(page, shop, ("routing", "a"))
    assert "no token for this" in (await tokenize(page))["error"]["message"]
    await mount(page, shop, ("cvc", "a"))
    assert "no token for this" in (await tokenize(page))["error"]["message"]
    in_page = "document.body.appendChild(document.createElement('input'))"
    for sentence, script in (
        ("one of a card", "Panless(key).fields({ token: '4242' })"),
        ("a cvc field only", f"Panless(key).fields({{ token: 'tok_{'0' * 26}' }}).create('number')"),
        ("mount it into a <div>", "Panless(key).fields().create('cvc').mount(document.createElement('input'))"),
    ):
        wrapped = f"(key) => {{ try {{ {script} }} catch (error) {{ return `${{error.name}}: ${{error.message}}` }} }}"
        said = await page.evaluate(wrapped.replace("document.createElement('input')", in_page), shop.key)
        assert said.startswith("TypeError: Panless: ") and sentence in said


async def test_a_field_that_the_page_lost_fails_the_whole(page, shop):
    """Else the card would be paid without its code, and nobody would know."""
    await mount(page, shop, ("number", "a"), ("expiry", "b"), ("cvc", "c"))
    await fill_in(page, ("number", "a", VISA), ("expiry", "b", "1240"), ("cvc", "c", "123"))
    await page.evaluate("document.querySelector('#c').replaceChildren()")
    assert (await tokenize(page))["error"]["code"] == "field_unreachable"


async def test_a_page_that_may_not_have_fields_is_told_why(page, shop, witness):
    async with selling(Shop(shop.fields, shop.key)) as stranger:
        await page.goto(stranger.url + "/places")
        script = """(key) => {
          const group = Panless(key).fields();
          group.create("number").mount("#a");
          return group.tokenize().catch(({ code, retry }) => ({ code, retry }));
        }"""
        error = await page.evaluate(script, shop.key)
        assert (error["code"], error["retry"]) == ("origin_not_allowed", "after_correction")
        assert any("panless key add NAME --origin" in line and stranger.url in line for line in witness.console)


async def test_focus_is_given_once_there_is_a_field(page, shop):
    await page.goto(shop.url + "/places")
    await page.evaluate("(key) => { Panless(key).fields().create('number').mount('#a').focus() }", shop.key)
    await page.locator("#a.panless-focus").wait_for()
    await page.keyboard.type("4242")
    assert await box(page, "a", "number").input_value() == "4242"


async def test_enter_submits_the_form_that_a_field_is_in(page, shop, hosted):
    await page.goto(shop.url)
    await page.evaluate(
        "window.submitted = 0; document.querySelector('form').addEventListener('submit', () => submitted++)"
    )
    number = page.frame_locator("#number iframe").locator("input[name=number]")
    await number.press("Enter")
    await until(lambda: page.evaluate("submitted === 1"))
