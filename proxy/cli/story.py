"""The story of one card, told on the terminal, and checked while it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import aiohttp
from rich.console import Console
from rich.json import JSON
from rich.panel import Panel
from rich.text import Text

from proxy.cli.audit import events_table
from proxy.sandbox.parts import SHOP, Parts
from proxy.sandbox.scenes import masked
from proxy.settings import vault_settings
from vault.tokens import recognise
from vault.upkeep.history import Demands, Filter, history, keys_of_database, verify_history
from vault.upkeep.startup import open_database

CARD = "4242424242424242"
CVC = "917"


class Story:
    """Tells the story in five steps. `broken` collects what was not as promised."""

    def __init__(self, parts: Parts, console: Console) -> None:
        self._parts = parts
        self._console = console
        self.broken: list[str] = []

    async def tell(self) -> None:
        await self._card_is_posted()
        if self.broken:
            return  # there is no order to go on with
        self._shop_received()
        await self._shop_charges()
        await self._history()

    def _show(self, title: str, document: Any, note: str) -> None:
        self._console.print(Panel(JSON(json.dumps(document, ensure_ascii=False)), title=title, title_align="left"))
        self._console.print(Text(f"  {note}\n", style="italic"))

    def _expect(self, kept: bool, promise: str) -> None:
        self._console.print(Text(f"  {'✓' if kept else '✗'} {promise}", style="green" if kept else "bold red"))
        if not kept:
            self.broken.append(promise)

    async def _card_is_posted(self) -> None:
        order = {"order": "A-1001", "amount": 1999, "card": {"number": CARD, "cvc": CVC, "exp": "12/34"}}
        url = f"{self._parts.panless.urls['inbound']}/checkout"
        shown = order | {"card": {"number": masked(CARD), "cvc": "•••", "exp": "12/34"}}
        self._show("1  A customer's browser posts a card to the shop", shown, f"POST {url}   (Panless, inbound)")
        async with aiohttp.ClientSession() as session, session.post(url, json=order) as answer:
            self._expect(answer.status == 201, "the shop took the order")

    def _shop_received(self) -> None:
        received = self._parts.shop.received[-1] if self._parts.shop.received else {}
        self._show("2  What the shop received", received, "The same bytes, but for two values: they are tokens now.")
        text = json.dumps(received)
        card = received.get("card", {})
        self._expect(CARD not in text and CVC not in text, "the shop holds no card number and no verification code")
        self._expect(recognise(str(card.get("number"))) is not None, "in their place are tokens")

    async def _shop_charges(self) -> None:
        shop, urls = self._parts.shop, self._parts.panless.urls
        url = f"{urls['outbound']}/gateway/v1/charges"
        self._show("3  The shop charges the token", shop.charge_request(), f"POST {url}   (Panless, outbound)")
        status, body = await shop.charge(urls["outbound"], self._parts.shop_key)
        received = self._parts.gateway.received[-1] if self._parts.gateway.received else {"card": {}}
        number = str(received["card"].get("number", ""))
        shown = received | {"card": received["card"] | {"number": masked(number), "cvc": "•••"}}
        self._show("4  What the gateway received (masked here)", shown, "With the gateway's own key, not the shop's.")
        self._expect(number == CARD, "the gateway got the true card number")
        self._expect(received["card"].get("cvc") == CVC, "and the verification code")
        answer = json.loads(body) if body.startswith("{") else {}
        self._show("   What the gateway answered, as the shop sees it", answer, f"Status {status}.")
        self._expect(status == 200 and answer.get("status") == "succeeded", "the charge succeeded")
        self._expect(CARD not in body, "the gateway echoed the card number; Panless took it out of the answer")
        status, _ = await shop.charge(urls["outbound"], self._parts.shop_key)
        self._expect(status == 410, "the code is gone after the answer: it cannot be used twice")

    async def _history(self) -> None:
        database = await open_database(vault_settings(self._parts.config), holder="command")
        try:
            token = self._parts.shop.received[-1]["card"]["number"]
            events = await history(database, Filter(token=token, limit=3))
            demands = Demands(await keys_of_database(database))
            report = await verify_history(database, demands)
        finally:
            await database.close()
        self._console.print(Text("5  What the security team sees", style="bold"))
        self._console.print(events_table(events))
        self._expect(
            list(self._missing(events)) == [], "tokenize, reveal and refusal are recorded, with who and where to"
        )
        self._expect(not report.findings, f"the chain of {report.events} events is whole and unchanged")

    def _missing(self, events: list[dict[str, Any]]) -> Iterator[str]:
        gateway = self._parts.gateway_url.removeprefix("http://")
        wanted = [
            ("tokenize", "permitted", None, self._parts.shop_url.removeprefix("http://")),
            ("reveal", "permitted", SHOP, gateway),
            ("reveal", "denied", SHOP, gateway),
        ]
        found = [(e["action"], e["outcome"], e.get("app"), e.get("destination")) for e in events]
        return (str(event) for event in wanted if event not in found)
