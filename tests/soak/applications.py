"""Who uses Panless in the soak: shops that pay and repeat until they are sure, and a gateway that sends events."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from tests.harness import gateways
from tests.harness.hooked import event
from tests.harness.shopping import card_number
from tests.soak.world import World

GONE = (aiohttp.ClientError, TimeoutError, ConnectionError)
PATIENCE = 0.3


@dataclass
class Payment:
    """One payment and what was said of it. `body`: of its 2xx; `refused`: the code of a refusal; `state`: how it ended.

    `amount` is its own, so that its charges are found.
    """

    amount: int
    honours: bool
    later: bool
    card: str
    tokens: dict = field(default_factory=dict)
    body: bytes | None = None
    refused: str | None = None
    unknown: bool = False
    path: str | None = None
    state: str | None = None
    said: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return f"payment-{self.amount}-x"

    @property
    def is_sure(self) -> bool:
        return self.body is not None or self.unknown or self.refused is not None or self.path is not None


@dataclass
class Shops:
    """`payments` are all that were begun. Whoever is told to close ends the payment it is at."""

    world: World
    payments: list[Payment] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    open: bool = True

    async def shop(self) -> None:
        """Pay again and again."""
        while self.open:
            payment = await self._begun()
            self.payments.append(payment)
            await self._pay(payment)
            if payment.body is not None and self.world.chance.random() < 0.3:
                await self._again(payment)
            if payment.path is not None:
                await self.follow(payment)
            await asyncio.sleep(self.world.chance.uniform(0, 0.3))

    async def _begun(self) -> Payment:
        chance, amount = self.world.chance, 1000 + len(self.payments)
        return Payment(amount, chance.random() < 0.5, chance.random() < 0.4, card_number(chance.randrange(10**9)))

    async def _tokens(self, card: str) -> dict:
        while True:
            try:
                body = {"card": {"number": card, "cvc": "737"}}
                url = self.world.place("inbound") + "/checkout"
                async with self.world.client.post(url, json=body) as answer:
                    if answer.status == 200:
                        return (await answer.json())["card"]
            except GONE:
                pass
            await asyncio.sleep(PATIENCE)

    async def _send(self, payment: Payment) -> tuple[int, dict, bytes]:
        headers = {"Panless-Key": self.world.key, "Idempotency-Key": payment.key}
        if payment.later:
            headers["Prefer"] = "respond-async"
        url = f"{self.world.place('outbound')}/{'keyed' if payment.honours else 'plain'}/charges"
        body = {"card": payment.tokens, "amount": payment.amount}
        async with self.world.client.post(url, json=body, headers=headers) as answer:
            self.counts["requests"] += 1
            told = answer.status, dict(answer.headers), await answer.read()
        payment.said.append(f"{told[0]} {told[1].get('Panless-Error', '')}".strip())
        self.counts["replays"] += "Idempotent-Replayed" in told[1]
        return told

    async def _pay(self, payment: Payment) -> None:
        payment.tokens = await self._tokens(payment.card)
        while not payment.is_sure:
            try:
                status, headers, body = await self._send(payment)
            except GONE:
                await asyncio.sleep(PATIENCE)
                continue
            code = headers.get("Panless-Error", "")
            if status == 202:
                payment.path = headers["Location"]
            elif status < 300:
                payment.body = body
            elif code == "outcome_unknown" or (status >= 500 and "Idempotent-Replayed" in headers):
                payment.unknown = True
            elif code == "request_running" or status in (429, 500, 502, 503, 504):
                self.counts[code or f"answered {status}"] += 1
                await asyncio.sleep(PATIENCE)
            else:
                payment.refused = code or str(status)

    async def _again(self, payment: Payment) -> None:
        """Ask once more for what was answered: the same comes, or it is said that it is not known any more."""
        while True:
            try:
                status, headers, body = await self._send(payment)
            except GONE:
                await asyncio.sleep(PATIENCE)
                continue
            if status < 300:
                if body != payment.body:
                    self.world.problems.append(f"payment {payment.amount} was answered in two ways")
                return
            if headers.get("Panless-Error") == "outcome_unknown":
                self.counts["forgotten"] += 1
                return
            await asyncio.sleep(PATIENCE)

    async def follow(self, payment: Payment) -> None:
        """Ask for an operation until it has ended."""
        while payment.state is None:
            try:
                url, headers = self.world.place("outbound") + str(payment.path), {"Panless-Key": self.world.key}
                async with self.world.client.get(url, headers=headers) as answer:
                    if answer.status == 200 and (told := await answer.json())["status"] not in ("pending", "running"):
                        payment.state = told["status"]
                        return
                    if answer.status == 404:
                        self.world.problems.append(f"operation {payment.path} is lost")
                        payment.state = "lost"
            except GONE:
                pass
            await asyncio.sleep(PATIENCE)

    async def gateway(self) -> None:
        """Send events, each until it is taken."""
        while self.open:
            number = len(self.events)
            self.events.append(f"evt_{number}")
            body = event(number, thing=f"ch_{number % 7}")
            while not await self._taken(body):
                await asyncio.sleep(PATIENCE)
            await asyncio.sleep(self.world.chance.uniform(0, 0.5))

    async def _taken(self, body: bytes) -> bool:
        try:
            url = self.world.place("inbound") + "/hooks/stripe"
            headers = [
                ("Content-Type", "application/json"),
                *gateways.by_stripe(body, int(time.time()), gateways.STRIPE_SECRET),
            ]
            async with self.world.client.post(url, data=body, headers=headers) as answer:
                if answer.status in (400, 401, 422):
                    self.world.problems.append(f"an event was refused: {await answer.text()}")
                    return True
                return answer.status == 200
        except GONE:
            return False
