"""One case of the fault matrix: it is set, the application pays until it is sure, and every word of it is checked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from uuid import UUID

import aiohttp

from tests.harness.charge_cases import KILLS, Case
from tests.harness.charging import Charging, request_id
from tests.harness.fault_plan import written
from tests.harness.tripwire import Trap

GONE = (aiohttp.ClientError, TimeoutError, ConnectionError)
ENDED = {"succeeded": 1, "failed": 0, "dead": 0, "cancelled": 0}
_RUN = {
    False: "SELECT run FROM idempotency WHERE key = $1",
    True: "SELECT operations.run FROM operations JOIN idempotency ON operation = id WHERE idempotency.key = $1",
}
_LEFT = """
SELECT (SELECT count(*) FROM idempotency WHERE state = 'running')
     + (SELECT count(*) FROM operations WHERE state IN ('pending', 'running'))
"""
SECONDS = 100


@dataclass
class Story:
    """What the application was told. `first`: the first definite answer; `state`: of its operation."""

    case: Case
    world: Charging
    answers: list[tuple[int, str, int]] = field(default_factory=list)
    first: tuple[int, bytes] | None = None
    path: str | None = None
    state: str | None = None
    unknown: bool = False

    @property
    def key(self) -> str:
        return f"order-{self.case.seed}-x"

    @property
    def amount(self) -> int:
        return 1000 + self.case.seed

    @property
    def charged(self) -> int:
        return len(self.world.charges(self.amount))

    async def tell(self) -> Story:
        """Go through all of it; raises AssertionError where something is not true."""
        await self._set()
        async with asyncio.timeout(SECONDS):
            killing = asyncio.create_task(self._kill_gateway()) if self.case.kills_gateway else None
            await self._pay()
            if self.path is not None:
                await self._follow()
            if killing is not None:
                await killing
        await self._heal()
        await self._check()
        return self

    async def _set(self) -> None:
        world, case = self.world, self.case
        self.heard = world.gateways[case.honours].connections
        if case.kills_gateway:
            async with world.client.post(
                world.processes[case.honours].control + "/_plan", json={"faults": written(case.faults)}
            ) as answer:
                assert answer.status == 200
            self.received = await self._received()
            return
        gateway = world.gateways[case.honours]
        gateway.plan.give(case.faults)
        if case.place == "database":
            act, then = self._act()
            if case.step != "outcome":
                world.wire.trap = Trap(self._is_claim if case.step == "claim" else self._is_event, act, then)
                return

            async def before(_request: object) -> None:
                [row] = await world.sql(_RUN[case.later], self.key)
                run: UUID = row[0]
                world.wire.trap = Trap(lambda piece: run.bytes in piece, act, then)

            gateway.before = before
        elif case.fault in KILLS:
            gateway.hanging = getattr(world, case.fault)

    def _act(self) -> tuple:
        """Return what the trap does, and what happens then."""
        kill, _, when = self.case.fault.rpartition("_")
        return (when, getattr(self.world, kill)) if kill in KILLS else (self.case.fault, None)

    def _is_claim(self, piece: bytes) -> bool:
        return self.key.encode() in piece.replace(request_id(self.key).encode(), b"")

    def _is_event(self, piece: bytes) -> bool:
        return request_id(self.key).encode() in piece and not self._is_claim(piece)

    async def _received(self) -> int:
        url = self.world.processes[self.case.honours].control + "/_seen"
        async with self.world.client.get(url) as answer:
            return (await answer.json())["received"]

    async def _kill_gateway(self) -> None:
        """Kill the gateway as soon as it has the request; it is started again when the application finds it away."""
        while await self._received() == self.received:
            await asyncio.sleep(0.01)
        await self.world.processes[self.case.honours].kill()

    async def _pay(self) -> None:
        """Send the payment with its key until there is a definite answer."""
        running = 0
        while not (self.first or self.path or self.unknown):
            before = self.charged
            try:
                status, headers, body = await self.world.pay(
                    self.case.route, self.key, self.amount, later=self.case.later
                )
            except GONE:
                await self._pause()
                continue
            code = headers.get("Panless-Error", "")
            self.answers.append((status, code, self.charged))
            self._is_true(status, body, code, before)
            if status == 202:
                self.path = headers["Location"]
            elif status < 300:
                self.first = (status, body)
            elif code == "outcome_unknown" or (status >= 500 and "Idempotent-Replayed" in headers):
                self.unknown = True
            elif code == "request_running":
                running += 1
                if running % 5 == 0:
                    await self._lapse()
                await self._pause()
            else:
                assert status in (429, 500, 502, 503, 504), self._said(body)
                await self._pause()

    async def _lapse(self) -> None:
        """Where a Panless has died nobody waits the 15 seconds; one that lives still holds what it has."""
        if self.world.deaths:
            await self.world.lapse()

    async def _pause(self) -> None:
        await self.world.alive()
        await asyncio.sleep(0.05)

    def _is_true(self, status: int, body: bytes, code: str, before: int) -> None:
        """Check what an answer says about this request."""
        if 200 <= status < 300 and status != 202:
            charges = self.world.charges(self.amount)
            assert [json.loads(body)["id"]] == [each.id for each in charges], self._said(body)
        if code and json.loads(body).get("reached_upstream") == "no":
            assert self.charged == before, self._said(body)
        assert self.charged <= 1, self._said(body)

    async def _follow(self) -> None:
        """Ask for the operation until it has ended; try to cancel it meanwhile, if that is the case."""
        cancels, looked = self.case.cancels, 0
        while self.state is None:
            try:
                status, body = await self.world.ask(self.path)
                assert status in (200, 503), self._said(body)
                if status == 200 and json.loads(body)["status"] not in ("pending", "running"):
                    self.state = json.loads(body)["status"]
                    return
                if cancels and status == 200 and (json.loads(body)["code"] or looked > 3):
                    status, body = await self.world.ask(self.path, "DELETE")
                    assert status in (200, 409, 503), self._said(body)
                    cancels = status == 503 or "waiting" in body.decode()
            except GONE:
                await self.world.alive()
            looked += 1
            if looked % 5 == 0 and (not cancels or looked > 10):
                await self.world.hurry()
            if looked % 5 == 0:
                await self._lapse()
            await self._pause()

    async def _heal(self) -> None:
        """Everything is well again; wait until nothing is under way."""
        self.world.wire.trap = None
        for each in self.world.gateways.values():
            each.plan.give(())
            each.before = each.hanging = None
        async with asyncio.timeout(SECONDS):
            await self.world.alive()
            while (await self.world.sql(_LEFT))[0][0]:
                await self._lapse()
                await self.world.hurry()
                await asyncio.sleep(0.1)

    async def _check(self) -> None:
        """Everything that was said is true, and still is when the application asks again."""
        charged = self.charged
        if self.state in ENDED:
            assert charged == ENDED[self.state], self._said(f"the operation {self.state}")
        if self.unknown and not self.world.deaths:
            assert self._reached(), self._said("nobody could have charged anything")
        if self.path is not None:
            return await self._asks_again()
        first, kept = self.first, None
        for _ in range(3):
            status, headers, body = await self._again()
            code = headers.get("Panless-Error", "")
            if status < 300:
                assert first is None or body == first[1], self._said(body)
                assert kept is None or (status, body) == kept, self._said(body)
                kept = first = (status, body)
            else:
                assert code == "outcome_unknown" or (status >= 500 and not code), self._said(body)
                assert kept is None, self._said(body)
                # A first answer that could not be stored, for the process or the database was gone.
                assert self.first is None or self.case.step in ("outcome", "answer"), self._said(body)
            self._is_true(status, body, code, self.charged)
        assert self.charged == max(charged, self.charged) <= 1
        return None

    async def _again(self) -> tuple[int, dict, bytes]:
        while True:
            try:
                answer = await self.world.pay(self.case.route, self.key, self.amount, later=self.case.later)
            except GONE:
                await self._pause()
                continue
            if answer[1].get("Panless-Error") not in ("request_running", "database_unavailable"):
                return answer
            await self._lapse()
            await self._pause()

    async def _asks_again(self) -> None:
        status, headers, body = await self._again()
        assert (status, headers.get("Location")) == (202, self.path), self._said(body)
        told = [await self.world.ask(f"{self.path}{end}") for end in ("", "/answer", "", "/answer")]
        # A refusal names its own request each time.
        same = [(status, b"" if status == 404 else answer) for status, answer in told]
        assert same[:2] == same[2:], self._said(told)
        assert json.loads(told[0][1])["status"] == self.state, self._said(told[0][1])
        if self.state == "succeeded":
            [charge] = self.world.charges(self.amount)
            assert json.loads(told[1][1])["id"] == charge.id, self._said(told[1][1])

    def _reached(self) -> bool:
        """Whether the gateway has heard anything since this case began."""
        if self.case.kills_gateway:
            return True
        return self.world.gateways[self.case.honours].connections > self.heard

    def _said(self, what: object) -> str:
        return f"seed {self.case.seed} ({self.case}): {what!r}; charges {self.charged}, answers {self.answers}"
