"""Steps through the pairs of a form: over those that no selector can enter, and to the keys that selectors name.

Both are made once a state, from names of the configuration alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from proxy.rewrite.places import Path
from proxy.rewrite.selectors import State

SIMPLE = r"[A-Za-z0-9_-]++"
_AT_ONCE = 64
_LEVELS = 32
_MAX_KEYS = 1000
_simple_name = re.compile(SIMPLE).fullmatch

Over = Callable[[bytes, int], "re.Match[bytes]"]
"""It always matches, and ends where a pair does that has to be looked at."""


@lru_cache(maxsize=1024)
def over_pairs(start: State) -> Over | None:
    """Return what steps over pairs, in C, with a simple key that no selector can enter, and a value that hides none.

    None if every name matters.
    """
    if start.open().other_name is not None:
        return None
    named = "|".join([re.escape(name) for name in start.names if _simple_name(name)])
    other = rf"(?!(?:{named})(?:[\[=&]|\Z))" if named else ""
    key = rf"{other}{SIMPLE}(?:\[[A-Za-z0-9_-]*+\]){{0,{_LEVELS}}}"
    pattern = rf"(?:{key}=[^&;\]]*+(?:&|\Z)){{0,{_AT_ONCE}}}"
    return re.compile(pattern.encode()).match  # type: ignore[return-value]  # never None


@lru_cache(maxsize=1024)
def selected_keys(start: State) -> Mapping[bytes, tuple[State, Path]]:
    """Return the simple keys that lead to a selected place, as `card[number]`, where all levels are named.

    A number in brackets may be an index; keys with one are not among them.
    """
    keys: dict[bytes, tuple[State, Path]] = {}
    waiting: list[tuple[str, State, Path]] = [("", start, ())]
    while waiting:
        key, state, path = waiting.pop()
        if path and state.accepts:
            keys[key.encode()] = state, path
        elif state.open().other_name is None and len(keys) + len(waiting) < _MAX_KEYS:
            for name, below in state.names.items():
                if below is not None and _simple_name(name) and not name.isdecimal():
                    waiting.append((f"{key}[{name}]" if path else name, below, (*path, name)))
    return keys
