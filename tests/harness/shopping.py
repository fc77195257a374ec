"""Customers and their shop: cards go in, tokens go to the gateway, and every card that arrives there is checked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from tests.harness.process import PanlessProcess
from tests.harness.upstream import Answer, Received, RecordingUpstream
from vault.kinds import luhn_valid


def card_number(n: int) -> str:
    """Return the nth of many card numbers that nobody was ever given."""
    return next(number for check in range(10) if luhn_valid(number := f"4{n:014}{check}"))


@dataclass
class Shopping:
    """What happened: the token of each card, statuses by way, codes of refusals, cards or tokens that were wrong.

    `patient`: whoever gets no answer tries again, also at a Panless that was started again.
    """

    panless: PanlessProcess
    key: str
    path: str = "/checkout"
    tokens: dict[str, str] = field(default_factory=dict)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    refusals: Counter[tuple[int, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    patient: bool = False
    paused: float = 1.0
    open: bool = True

    async def buy(self, client: aiohttp.ClientSession, number: str) -> None:
        """Enter a card, and charge it by its token."""
        status, answer = await self._send("tokenize", client, {"card": {"number": number}})
        token = answer.get("token", "")
        if status == 200 and self.tokens.setdefault(number, token) != token:
            self.wrong.append(f"another token for card {number[-6:]}")
        await self.charge(client, random.choice(list(self.tokens)))  # noqa: S311  # any will do

    async def charge(self, client: aiohttp.ClientSession, number: str) -> None:
        body = {"card": {"number": self.tokens[number]}, "expected": number[-6:]}
        status, answer = await self._send("reveal", client, body)
        if status == 200 and not answer.get("right"):
            self.wrong.append(f"another card than {number[-6:]} arrived")

    def count(self, status: int) -> int:
        """Return how many requests were answered with a status."""
        return sum(number for (_, each), number in self.statuses.items() if each == status)

    async def _send(self, way: str, client: aiohttp.ClientSession, body: dict) -> tuple[int, dict]:
        while True:
            try:
                url, headers = await self._place(way)
                async with client.post(url, json=body, headers=headers) as answer:
                    self.statuses[way, answer.status] += 1
                    if answer.status != 200:
                        self.refusals[answer.status, answer.headers.get("Panless-Error", "")] += 1
                    return answer.status, await answer.json()
            except aiohttp.ClientConnectionError:
                if not self.patient:
                    raise
                await asyncio.sleep(self.paused)

    async def _place(self, way: str) -> tuple[str, dict[str, str]]:
        while self.patient and not self.panless.urls:
            await asyncio.sleep(self.paused)
        if way == "tokenize":
            return self.panless.urls["inbound"] + self.path, {}
        return f"{self.panless.urls['outbound']}/gateway/charges", {"Panless-Key": self.key}

    async def customer(self, first: int) -> None:
        """Buy with new cards, and now and then with one that is known."""
        async with aiohttp.ClientSession() as client:
            n = first
            while self.open:
                n += 1
                again = random.choice(list(self.tokens)) if n % 3 == 0 and self.tokens else card_number(n)  # noqa: S311
                await self.buy(client, again)
                await asyncio.sleep(self.paused)

    async def charge_all(self) -> None:
        """Charge every card that was ever given a token."""
        async with aiohttp.ClientSession() as client:
            await asyncio.gather(*(self.charge(client, number) for number in self.tokens))


def echo_tokens(app: RecordingUpstream, gateway: RecordingUpstream) -> None:
    """Let the shop answer with the token, and the gateway say whether it got the card that the shop meant."""

    def shop(received: Received) -> Answer:
        return Answer(body=json.dumps({"token": received.json()["card"]["number"]}).encode())

    def charge(received: Received) -> Answer:
        body = received.json()
        number = body["card"]["number"]
        right = number.endswith(body["expected"]) and luhn_valid(number)
        return Answer(body=json.dumps({"right": right}).encode())

    app.answer, gateway.answer = shop, charge


@contextlib.asynccontextmanager
async def shopping(panless: PanlessProcess, key: str, customers: int = 50, **settings) -> AsyncIterator[Shopping]:
    """Customers that go on until the end of the block; a customer that fails fails the test."""
    shop = Shopping(panless, key, **settings)
    going = [asyncio.create_task(shop.customer(n * 10**6)) for n in range(customers)]
    try:
        yield shop
        for each in going:
            assert not each.done(), each.exception()
        shop.open = False
        await asyncio.gather(*going)
    finally:
        for each in going:
            each.cancel()
        await asyncio.gather(*going, return_exceptions=True)
