"""All connections of one listener: accepted, served, and let end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from proxy.errors import RequestError
from proxy.serving.answer import Answer
from proxy.serving.connection import Connection, Handler

# What was cut off ends in this time.
_CUT_SECONDS = 1.0


class Server:
    """Makes connections (it is a protocol factory). `refused` tells what cannot be read."""

    def __init__(self, handler: Handler, refused: Callable[[RequestError], Answer]) -> None:
        self.handler = handler
        self.refused = refused
        self.is_stopping = False
        self.connections: set[Connection] = set()
        self._alone = asyncio.Event()

    def __call__(self) -> Connection:
        return Connection(self)

    def left(self, connection: Connection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        if self.is_stopping and not self.connections:
            self._alone.set()

    async def stop(self, seconds: float) -> None:
        """Let requests that are being handled end, for so long; close the rest."""
        self.is_stopping = True
        if not self.connections:
            return
        for connection in list(self.connections):
            connection.stop()
        try:
            async with asyncio.timeout(seconds):
                await self._alone.wait()
        except TimeoutError:
            for connection in list(self.connections):
                connection.abort()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CUT_SECONDS):
                    await self._alone.wait()
