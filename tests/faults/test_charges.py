"""A charge under every fault at each of its steps: never more than one for a key, and nothing untrue (promise 10).

A seed draws the fault, its step, the gateway, and the byte at which something breaks: tests/harness/charge_cases.py.
`make matrix SEEDS=200` tries so many; SEED=n repeats one.
"""

from __future__ import annotations

import os

import pytest

from tests.harness.charge_cases import CELLS, case
from tests.harness.charge_story import Story
from tests.harness.charging import PAN, charging

# A few that take their time each, and no 10 seconds of a statement that hangs.
FEW = 6
SEEDS = int(os.environ.get("SEEDS", "0"))


def _few() -> list[int]:
    quick = [seed for seed in range(len(CELLS)) if case(seed).fault != "late"]
    return quick[:: len(quick) // FEW][:FEW]


def _seeds() -> list[int]:
    if "SEED" in os.environ:
        return [int(os.environ["SEED"])]
    return list(range(SEEDS)) if SEEDS else _few()


@pytest.fixture(scope="module")
async def world(tmp_path_factory):
    async with charging(tmp_path_factory.mktemp("charges")) as made:
        yield made
        await _nothing_readable(made)


async def _nothing_readable(world) -> None:
    """No card number is in a log or in a table, and the history is whole."""
    assert PAN not in world.panless.log
    tables = await world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in tables:
        text = " ".join(row[0] for row in await world.sql(f"SELECT t::text FROM {table} AS t"))
        assert PAN not in text and PAN.encode().hex() not in text, table
    await world.alive()
    done = await world.panless.command("audit", "verify")
    assert done.code == 0, done.out + done.err


@pytest.mark.parametrize("seed", _seeds(), ids=lambda seed: str(case(seed)))
async def test_a_key_is_charged_once_and_every_word_is_true(world, seed):
    await world.alive()
    world.deaths = 0
    await Story(case(seed), world).tell()
