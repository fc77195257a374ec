"""Ceremonies for tests, and what a custodian does with the file they got."""

from __future__ import annotations

import re
from pathlib import Path

from tests.harness.process import Done, panless

NAMES = ("anna", "bert", "cleo", "dora", "emil")
HEAD = 'keys = { provider = "custodians", record = "custodians.json" }\n'


def words_in(text: str) -> str:
    """Return the line of words of a share file."""
    return re.search(r"^(?:[a-z]+ ){32}[a-z]+$", text, re.MULTILINE)[0]


async def ceremony(config: Path, out: Path, names: tuple[str, ...] = NAMES, threshold: int = 3) -> list[str]:
    """Hold a ceremony and return the shares, in the order of the names."""
    given = [part for name in names for part in ("--custodian", name)]
    done = await panless("keys", "ceremony", "-c", config, "--threshold", str(threshold), *given, "--out", out)
    assert done.code == 0, done.err
    return [words_in((out / f"{name}.share").read_text()) for name in names]


async def unseal(config: Path, words: str, *arguments: str) -> Done:
    return await panless("unseal", "-c", config, *arguments, stdin=words.encode() + b"\n")
