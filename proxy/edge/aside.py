"""Work on large messages is done aside, in a thread, so that other requests get their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from proxy.rewrite.fields import Fields
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Plan, find

LARGE = 128 * 1024

Given = ParamSpec("Given")
Result = TypeVar("Result")


async def find_in(message: Message, fields: Fields) -> Plan:
    """The plan of a message; raises what `find` does."""
    if len(message.body) < LARGE:
        return find(message, fields)
    return await aside(len(message.body), find, message, fields)


async def aside(size: int, work: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
    """Do pure work on `size` bytes: at once if they are few."""
    if size < LARGE:
        return work(*given, **named)
    return await asyncio.to_thread(work, *given, **named)
