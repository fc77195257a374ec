"""A demo shop. It takes orders with a card and charges them, and never holds a card number: it sees tokens."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

import aiohttp
from aiohttp import web

_TYPES = {"shop.js": "text/javascript", "shop.css": "text/css"}

Seen = Callable[[str], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Checkout:
    """What the shop's page is made with: where hosted fields are, the script, its integrity, the publishable key."""

    fields_url: str
    script: str
    integrity: str
    key: str

    @property
    def policy(self) -> str:
        """The page's Content-Security-Policy, as a shop would write it."""
        fields = self.fields_url
        return (
            f"default-src 'none'; script-src 'self' {fields}; frame-src {fields}; connect-src 'self' {fields}; "
            "style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )


class DemoShop:
    """`POST /checkout` takes an order that came through Panless, `/` is a page with hosted fields and `POST /pay` takes
    its orders. `charge` sends the last one to the gateway, through Panless.
    """

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.checkout: Checkout | None = None
        self.seen: Seen | None = None
        self.outbound: tuple[str, str] = ("", "")

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/checkout", self._checkout)
        application.router.add_get("/", self._page)
        application.router.add_get("/{name:shop[.](?:js|css)}", self._file)
        application.router.add_post("/pay", self._pay)
        application.router.add_get("/seen", self._seen)
        return application

    async def _checkout(self, request: web.Request) -> web.Response:
        order = json.loads(await request.read())
        self.received.append(order)
        return web.json_response({"order": order["order"], "card": order["card"]["number"]}, status=201)

    async def _page(self, _request: web.Request) -> web.Response:
        if self.checkout is None:
            raise web.HTTPServiceUnavailable
        page = _read("index.html")
        for name in ("script", "integrity", "key"):
            page = page.replace(f"{{{name}}}", escape(getattr(self.checkout, name)))
        headers = {"Content-Security-Policy": self.checkout.policy, "Cache-Control": "no-store"}
        return web.Response(text=page, content_type="text/html", headers=headers)

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.Response(text=_read(name), content_type=_TYPES[name])

    async def _pay(self, request: web.Request) -> web.Response:
        """Charge the card of hosted fields: the shop's server gets its tokens, and sends them on."""
        self.received.append(json.loads(await request.read()))
        status, body = await self.charge(*self.outbound)
        return web.Response(text=body, status=status, content_type="application/json")

    async def _seen(self, request: web.Request) -> web.Response:
        if self.seen is None:
            raise web.HTTPServiceUnavailable
        return web.json_response(await self.seen(request.query.get("token", "")))

    def charge_request(self) -> dict[str, Any]:
        """Return the charge for the last order, as the shop sends it."""
        order = self.received[-1]
        card = order["card"]
        if "token" in card:  # from hosted fields
            card = {"number": card["token"], "cvc": card["cvc"], "exp": card["expiry"]}
        return {"amount": order["amount"], "currency": "eur", "card": card}

    async def charge(self, outbound_url: str, key: str) -> tuple[int, str]:
        """Charge the last order; returns the gateway's status and body as the shop sees them."""
        url = f"{outbound_url}/gateway/v1/charges"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=self.charge_request(), headers={"Authorization": f"Bearer {key}"}) as answer,
        ):
            return answer.status, await answer.text()


def _read(name: str) -> str:
    return (files("proxy.sandbox") / "page" / name).read_text("utf-8")
