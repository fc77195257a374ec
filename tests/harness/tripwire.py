"""A relay before a database that acts at one statement: the first message that holds given bytes, and its answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.harness.faulty_wire import FaultyWire

# `cut`: the statement never arrives. `lose`: it is done, and its answer lost. `late`: it arrives, and is done, when the
# client has given up. `before` and `after` it is done something else happens (`then`), and the connection breaks.
# `pass`: something else happens, and all goes on.
Act = Literal["cut", "lose", "late", "before", "after", "pass"]


@dataclass
class Trap:
    """`catches` looks at what goes to the database. It acts once."""

    catches: Callable[[bytes], bool]
    act: Act
    then: Callable[[], Awaitable[None]] | None = None
    met: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Tripwire(FaultyWire):
    """A wire that is good but for its trap."""

    trap: Trap | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await self._connect()
        except OSError:
            return self._end(writer)
        caught = asyncio.Event()
        back = asyncio.create_task(self._back(far_reader, writer, caught))
        there = asyncio.create_task(self._there(reader, far_writer, caught, back))
        try:
            with contextlib.suppress(asyncio.CancelledError):  # `break_now`
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                if caught.is_set():
                    await there
        finally:
            there.cancel()
            back.cancel()
            self._end(writer)
            far_writer.close()
        return None

    async def _there(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, caught: asyncio.Event, back: asyncio.Task
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await source.read(65536):
                trap = self.trap
                if trap is None or trap.met.is_set() or not trap.catches(piece):
                    sink.write(piece)
                    await sink.drain()
                    continue
                if trap.act == "pass" and trap.then is not None:
                    await trap.then()
                    sink.write(piece)
                    trap.met.set()
                    continue
                trap.met.set()
                caught.set()
                await self._act(trap, piece, source, sink, back)
                return

    async def _act(
        self, trap: Trap, piece: bytes, source: asyncio.StreamReader, sink: asyncio.StreamWriter, back: asyncio.Task
    ) -> None:
        if trap.act == "late":
            with contextlib.suppress(ConnectionError):
                while await source.read(65536):
                    pass
        if trap.act in ("lose", "after", "late"):
            sink.write(piece)
            await asyncio.wait({back})  # it ends with the first bytes of the answer, which go no further
        if trap.then is not None:
            await trap.then()

    async def _back(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, caught: asyncio.Event) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await source.read(65536):
                if caught.is_set():
                    return
                sink.write(piece)
                await sink.drain()


@asynccontextmanager
async def tripwire(target: object) -> AsyncIterator[Tripwire]:
    wire = Tripwire(target)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.break_now()
