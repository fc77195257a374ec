"""A demo shop. It takes orders with a card and charges them, and never holds a card number: it sees tokens."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
from aiohttp import web


class DemoShop:
    """`POST /checkout` takes an order; `charge` sends the last one to the gateway, through Panless."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/checkout", self._checkout)
        return application

    async def _checkout(self, request: web.Request) -> web.Response:
        order = json.loads(await request.read())
        self.received.append(order)
        return web.json_response({"order": order["order"], "card": order["card"]["number"]}, status=201)

    def charge_request(self) -> dict[str, Any]:
        """Return the charge for the last order, as the shop sends it."""
        order = self.received[-1]
        return {"amount": order["amount"], "currency": "eur", "card": order["card"]}

    async def charge(self, outbound_url: str, key: str) -> tuple[int, str]:
        """Charge the last order; returns the gateway's status and body as the shop sees them."""
        url = f"{outbound_url}/gateway/v1/charges"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=self.charge_request(), headers={"Authorization": f"Bearer {key}"}) as answer,
        ):
            return answer.status, await answer.text()
