"""What must be true when everything is well again, and the table that tells how it went."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from tests.harness.ledger import Charge
from tests.soak.applications import Payment, Shops
from tests.soak.memory import MOST_GROWTH
from tests.soak.world import World

CHARGED = {"succeeded": True, "failed": False, "dead": False, "cancelled": False}
_LEFT = """
SELECT (SELECT count(*) FROM idempotency WHERE state = 'running')
     + (SELECT count(*) FROM operations WHERE state IN ('pending', 'running'))
     + (SELECT count(*) FROM webhook_events WHERE state IN ('pending', 'passing'))
"""
_EVENTS = "SELECT count(*), count(DISTINCT event), count(*) FILTER (WHERE state = 'delivered') FROM webhook_events"
_NUMBER = re.compile(rb"(?<![0-9])4[0-9]{15}(?![0-9])")


async def left(world: World) -> int:
    """Return how much is still under way."""
    return (await world.sql(_LEFT))[0][0]


def ledger(world: World) -> dict[int, list[Charge]]:
    """Return what was charged, by amount: each payment has one of its own."""
    charges: dict[int, list[Charge]] = defaultdict(list)
    for gateway in world.gateways.values():
        if gateway.journal.exists():
            for line in gateway.journal.read_text().splitlines():
                charge = Charge(**json.loads(line))
                charges[charge.amount].append(charge)
    return charges


def _of_payment(payment: Payment, charges: list[Charge]) -> Iterator[str]:
    """Say what is wrong with a payment."""
    if len(charges) > 1:
        yield f"charged {len(charges)} times"
    if any(each.card != payment.card for each in charges):
        yield "another card was charged"
    if payment.body is not None and [json.loads(payment.body)["id"]] != [each.id for each in charges]:
        yield "answered 2xx with another charge than there is, or none"
    if payment.refused is not None and charges:
        yield f"refused with {payment.refused}, and charged"
    if payment.path is not None and payment.state not in (*CHARGED, "unknown"):
        yield f"an operation that was accepted is {payment.state}"
    if payment.state in CHARGED and CHARGED[payment.state] is not bool(charges):
        yield f"an operation {payment.state}, and {len(charges)} charges"
    if not payment.is_sure:
        yield "it never had a definite answer"


async def violations(world: World, shops: Shops) -> list[str]:
    """Return all that is not as it must be."""
    found, charges = list(world.problems), ledger(world)
    for payment in shops.payments:
        told = f"{'keyed' if payment.honours else 'plain'} {'later' if payment.later else 'now'}, {payment.said[-12:]}"
        found += [
            f"payment {payment.amount} ({told}): {what}" for what in _of_payment(payment, charges[payment.amount])
        ]
    if count := await left(world):
        found.append(f"{count} keys, operations or events are still under way")
    stored, different, delivered = (await world.sql(_EVENTS))[0]
    if not stored == different == delivered == len(shops.events):
        found.append(
            f"{len(shops.events)} events sent, {stored} stored ({different} of them different), {delivered} delivered"
        )
    found += [f"event {each} never arrived" for each in shops.events if not world.delivered[each]]
    for life in world.memory.long():
        if life.growth > MOST_GROWTH:
            second, last = life.quarters
            found.append(f"{life.name} ({life.pid}) grew from {second:.0f} to {last:.0f} MiB")
    found += await _told(world)
    return found


async def _told(world: World) -> list[str]:
    """Look for card numbers in the logs, and at the history."""
    found = []
    for process in world.panless.values():
        if _NUMBER.search(process.log_file.read_bytes()):
            found.append(f"a card number is in {process.log_file}")
        if "Traceback" in process.log:
            found.append(f"there is a traceback in {process.log_file}")
    done = await world.panless["steady"].command("audit", "verify")
    if done.code:
        found.append(f"the history does not verify: {done.err}")
    return found


def show(console: Console, world: World, shops: Shops) -> None:
    """Print what happened."""
    charges, ends = ledger(world), Counter(each.state for each in shops.payments if each.state)
    table = Table("what", "how many", title="the soak")
    rows = {
        "payments": len(shops.payments),
        "requests": shops.counts["requests"],
        "charges": sum(map(len, charges.values())),
        "replays": shops.counts["replays"],
        "answered 2xx": sum(each.body is not None for each in shops.payments),
        "outcome unknown": sum(each.unknown for each in shops.payments),
        "... and charged": sum(each.unknown and bool(charges[each.amount]) for each in shops.payments),
        "refused": sum(each.refused is not None for each in shops.payments),
        **{f"operations {state}": count for state, count in ends.items()},
        "events": len(shops.events),
        "deliveries": world.delivered.total(),
        **{
            f"{'killed' if kind not in ('stopped', 'connections') else 'harmed'}: {kind}": n
            for kind, n in world.kills.items()
        },
    }
    for what, count in rows.items():
        table.add_row(what, f"{count}")
    for life in world.memory.long():
        second, last = life.quarters
        text = f"{life.samples[0]:.0f} / {second:.0f} / {last:.0f} MiB"
        table.add_row(f"{life.name} {life.pid}: memory first / 2nd quarter / last", text)
    console.print(table)
    for code, count in shops.counts.most_common():
        if code not in ("requests", "replays"):
            console.print(f"told to try again: {code} {count}")
