"""What can go wrong with one charge, and where: the cells of the fault matrix, and the case that a seed draws."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product
from typing import Literal

from tests.harness.fault_plan import GOOD, Fault, drawn

Steps = dict[str, tuple[str, ...]]

KILLS = ("kill_panless", "kill_database")
# Where the gateway, or the way to it, fails.
GATEWAY: Steps = {
    "connect": ("refuse",),
    "request": ("reset_request",),
    "taken": ("hang_before", "error_before", "too_many", "kill_gateway", *KILLS),
    "charged": ("error_after", "latency", "hang_after", "kill_gateway", *KILLS),
    "answer": ("reset_answer", "cut", "hang_after", "drip", "too_long", "too_short", "garbage", *KILLS),
}
# What Panless commits, and how that fails: before the database has it, or after.
COMMITS = ("cut", "lose", "late", *(f"{kill}_{when}" for kill, when in product(KILLS, ("before", "after"))))
STATEMENTS: Steps = {"claim": COMMITS, "event": COMMITS, "outcome": COMMITS}
STEPS = GATEWAY | STATEMENTS

CELLS = [
    (step, fault, honours, later)
    for step, faults in STEPS.items()
    for fault in faults
    for honours in (False, True)
    for later in (False, True)
]
# Of a head and a body of these tests.
REQUEST, ANSWER = 420, 230


@dataclass(frozen=True)
class Case:
    """One charge. `honours`: the gateway honours keys; `later`: it is an operation; `cancels`: it is cancelled too.

    `faults` are those of the gateway's connections, one by one.
    """

    seed: int
    step: str
    fault: str
    honours: bool
    later: bool
    cancels: bool
    faults: tuple[Fault, ...]

    @property
    def kills_gateway(self) -> bool:
        return self.fault == "kill_gateway"

    @property
    def route(self) -> str:
        return ("keyed" if self.honours else "plain") + ("-killed" if self.kills_gateway else "")

    @property
    def place(self) -> Literal["gateway", "database"]:
        return "database" if self.step in STATEMENTS else "gateway"

    def __str__(self) -> str:
        kind = f"{'honours' if self.honours else 'ignores'}-{'later' if self.later else 'now'}"
        return f"{self.seed}-{self.step}-{self.fault}-{kind}"


def case(seed: int) -> Case:
    """Draw a case. Seeds that follow each other go through all cells, in an order of their own."""
    order = random.Random(6).sample(range(len(CELLS)), len(CELLS))  # noqa: S311
    step, fault, honours, later = CELLS[order[seed % len(CELLS)]]
    chance = random.Random(seed)  # noqa: S311
    return Case(seed, step, fault, honours, later, later and chance.random() < 0.4, _faults(step, fault, chance))


def _faults(step: str, fault: str, chance: random.Random) -> tuple[Fault, ...]:
    """The cell's own fault first, and then now and then others, at retries."""
    first = _first(step, fault, chance)
    if step in STATEMENTS or first.kind in ("kill_gateway", "hang_before", "hang_after"):
        return (first,)
    return (first, *(drawn(chance, 0.6) for _ in range(chance.randrange(4))))


def _first(step: str, fault: str, chance: random.Random) -> Fault:
    at = chance.randrange(REQUEST if step == "request" else ANSWER) if step in ("request", "answer") else 0
    if step in STATEMENTS:
        return GOOD
    if fault in KILLS or fault == "kill_gateway":
        # Killed before the charge the gateway may still make it, as one does that has the request already.
        return Fault("hang_before") if step == "taken" and chance.random() < 0.7 else Fault("hang_after", at=at)
    status = chance.choice((500, 502, 503, 504))
    seconds = {"latency": 0.3, "drip": 0.0005, "too_many": chance.randrange(3)}.get(fault, 0)
    return Fault(fault, at=at, seconds=seconds, status=status if fault.startswith("error") else 0)
