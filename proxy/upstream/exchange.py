"""Sends one request whose body streams, and waits for its answer's head, which may come first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from proxy.upstream.answer_reader import State
from proxy.upstream.attempt import Attempt, Phase
from proxy.upstream.connection import Connection
from proxy.wire.heads import LAST_CHUNK, chunk


async def upload(
    connection: Connection, attempt: Attempt, method: str, head: bytes, body: AsyncIterator[bytes], *, chunked: bool
) -> asyncio.Task[None]:
    """Send a request whose body streams, and wait for the answer's head, which may come before all of the body is out.

    Returns the task that goes on sending. Raises what `Connection.head` does, and what the body does.
    """
    connection.watch(attempt.enter(Phase.COLLECTING))
    connection.ask(method, head)
    sending = asyncio.create_task(_send(connection, attempt, body, chunked=chunked))
    answering = asyncio.ensure_future(connection.head())
    try:
        await asyncio.wait((sending, answering), return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and not answering.done():
            sending.result()
        await answering
    except BaseException:
        for task in (sending, answering):
            task.cancel()
        await asyncio.gather(sending, answering, return_exceptions=True)
        raise
    return sending


async def _send(connection: Connection, attempt: Attempt, body: AsyncIterator[bytes], *, chunked: bool) -> None:
    attempt.taken = True
    async for piece in body:
        if not piece:
            continue
        _enter(connection, attempt, Phase.SENDING)
        connection.write(chunk(piece) if chunked else piece)
        await connection.drained()
        _enter(connection, attempt, Phase.COLLECTING)
    if chunked:
        connection.write(LAST_CHUNK)
    _enter(connection, attempt, Phase.WAITING)


def _enter(connection: Connection, attempt: Attempt, phase: Phase) -> None:
    """Go on to a phase; once the answer has begun, time is that of who reads it."""
    if connection.reader.state is State.HEAD:
        connection.watch(attempt.enter(phase))
