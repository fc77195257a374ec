"""Each key is replaced while 50 customers buy, by a command that is killed at random points and given again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from asyncio.subprocess import DEVNULL
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness import configuration
from tests.harness.commands import start
from tests.harness.embedded import value
from tests.harness.process import panless, serving
from tests.harness.shopping import Shopping, echo_tokens, shopping
from tests.harness.upstream import recording

# `make faults` kills ten times.
KILLS = int(os.environ.get("KILLS", "2"))

# What is left under keys that are not active any more: nothing, in the end.
LEFT = {
    "kek": "SELECT count(*) FROM data_keys JOIN keks ON keks.id = data_keys.kek WHERE keks.state <> 'active'",
    "dek": """SELECT count(*) FROM tokens JOIN data_keys ON data_keys.id = tokens.data_key
              WHERE data_keys.state <> 'active'""",
    "fingerprint": """SELECT count(*) FROM fingerprints JOIN data_keys ON data_keys.id = fingerprints.data_key
                      WHERE data_keys.state <> 'active'""",
    "signing": "SELECT count(*) FROM data_keys WHERE purpose = 'signing' AND state <> 'active' AND wrapped IS NOT NULL",
}
COMMANDS = {
    "kek": [["rotate", "kek"]],
    "dek": [["rotate", "dek"], ["reseal"]],
    "fingerprint": [["rotate", "fingerprint"]],
    "signing": [["rotate", "signing"]],
}


async def killed(config: Path, command: list[str], seconds: float) -> bool:
    """Start a command and kill it after a while; tell whether it was still at work."""
    process = await start("keys", *command, "-c", str(config), env=os.environ, stdout=DEVNULL, stderr=DEVNULL)
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        with suppress(ProcessLookupError):  # it has just ended
            process.send_signal(signal.SIGKILL)
    return await process.wait() == -signal.SIGKILL


@pytest.fixture
async def running(tmp_path):
    async with recording() as app, recording() as gateway:
        echo_tokens(app, gateway)
        config = configuration.write(tmp_path, app.url, gateway.url)
        async with serving(config) as process:
            yield process, await process.add_app("shop")


async def stocked(shop: Shopping, cards: int) -> None:
    while len(shop.tokens) < cards:
        await asyncio.sleep(0.05)


# Of the signing key there is nothing to go on with: one transaction replaces it.
LONG = ("dek", "signing")
WHAT = [pytest.param(what, marks=pytest.mark.long) if what in LONG else what for what in LEFT]


@pytest.mark.parametrize("what", WHAT)
async def test_a_key_is_replaced_under_load_by_a_command_that_is_killed_and_given_again(running, what):
    process, key = running
    seed = random.randrange(10**6)  # noqa: S311
    print("seed", seed)
    chance = random.Random(seed)  # noqa: S311
    begin = time.monotonic()
    assert (await panless("keys", *COMMANDS[what][0], "--dry-run", "-c", process.config)).code == 0
    start = time.monotonic() - begin
    async with shopping(process, key) as shop:
        await stocked(shop, 150)
        at_work, latest, number = 0, start * 1.5, 0
        while at_work < KILLS:
            command, number = COMMANDS[what][number % len(COMMANDS[what])], number + 1
            if await killed(process.config, command, chance.uniform(start * 0.5, latest)):
                at_work += 1
            else:  # it was through already: not so late again
                latest = max(latest * 0.9, start * 0.6)
        for command in COMMANDS[what]:
            done = await panless("keys", *command, "-c", process.config)
            assert done.code == 0, done.err
    assert not shop.wrong
    assert {status for _, status in shop.statuses} == {200}, shop.statuses
    assert await value(process.config, LEFT[what]) == 0
    assert await value(process.config, "SELECT count(*) FROM tokens") == len(shop.tokens)
    await shop.charge_all()
    assert not shop.wrong
    assert {status for _, status in shop.statuses} == {200}, shop.statuses
    verified = await panless("audit", "verify", "-c", process.config)
    assert verified.code == 0, verified.out + verified.err
