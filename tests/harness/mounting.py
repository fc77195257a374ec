"""Hosted fields on a page of the shop that has nothing but places `a` to `f` for them."""

from __future__ import annotations

import json

from playwright.async_api import Locator, Page

from tests.harness.shop_page import Shop

EVENTS = ["ready", "change", "focus", "blur", "error", "brand", "enter"]
_MOUNT = """async ([key, fields, group, name]) => {
  const all = (window[name] = { group: Panless(key).fields(group), events: [] });
  for (const event of %s) all.group.on(event, (detail) => all.events.push([event, detail]));
  for (const [type, place, options] of fields) {
    const field = (all[type] = all.group.create(type, options));
    const ready = new Promise((resolve) => field.on("ready", resolve));
    field.mount("#" + place);
    await ready;
  }
}""" % json.dumps(EVENTS)  # noqa: UP031 - braces of JavaScript

_WITH_MESSAGES = "(_, value) => (value instanceof Error ? { ...value, message: value.message } : value)"


async def mount(
    page: Page, shop: Shop, *fields: tuple, open_page: str = "/places", as_name: str = "one", **group
) -> None:
    """Open a page, unless it is open, and mount `(type, place, options)`; they are `window.one.TYPE` afterwards."""
    if open_page:
        await page.goto(shop.url + open_page)
    wanted = [[*field, {}][:3] for field in fields]
    await page.evaluate(_MOUNT, [shop.key, wanted, group, as_name])


def box(page: Page, place: str, name: str) -> Locator:
    """The input of a part in a place."""
    return page.frame_locator(f"#{place} iframe").locator(f"input[name={name}]")


async def fill_in(page: Page, *parts: tuple[str, str, str]) -> None:
    for name, place, typed in parts:
        await box(page, place, name).press_sequentially(typed)


def message(page: Page, place: str, name: str) -> Locator:
    return page.frame_locator(f"#{place} iframe").locator(f"#{name}-message")


async def events(page: Page, event: str, as_name: str = "one") -> list[dict]:
    """The details of the events of one name, in order."""
    told = await page.evaluate(f"JSON.stringify({as_name}.events, {_WITH_MESSAGES})")
    return [detail for name, detail in json.loads(told) if name == event]


async def tokenize(page: Page, as_name: str = "one", **options) -> dict:
    """What `tokenize` gives: the answer, or the error as `{"error": {...}}`."""
    return await page.evaluate(
        f"(options) => {as_name}.group.tokenize(options).catch("
        "(error) => ({ error: { ...error, message: error.message, kind: error.constructor.name } }))",
        options,
    )
