"""A relay on loopback before a server, a database say, with faults in its bytes: it knows nothing of what they mean."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Bytes:
    """One direction, counted over all connections since `again`. `breaks_at`: after so many bytes the wire breaks."""

    seen: int = 0
    breaks_at: int | None = None
    stalled: bool = False
    delay: float = 0

    def again(self, *, breaks_at: int | None = None, stalled: bool = False, delay: float = 0) -> None:
        """Count from nothing, with these faults; without any the wire is good."""
        self.seen, self.breaks_at, self.stalled, self.delay = 0, breaks_at, stalled, delay


@dataclass
class FaultyWire:
    """`there` is towards the server, `back` from it. `resets`: the wire breaks with RST, else with a regular end."""

    target: int | Path
    port: int = 0
    resets: bool = True
    there: Bytes = field(default_factory=Bytes)
    back: Bytes = field(default_factory=Bytes)
    broken: int = 0
    connections: int = 0
    _tasks: set[asyncio.Task] = field(default_factory=set)

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
        there = asyncio.create_task(self._pump(self.there, reader, far_writer))
        back = asyncio.create_task(self._pump(self.back, far_reader, writer))
        try:
            with suppress(asyncio.CancelledError):  # `break_now`
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            self._end(writer)
            far_writer.close()
        return None

    def break_now(self) -> None:
        """Break every connection there is."""
        for task in self._tasks:
            task.cancel()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, Path):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection("127.0.0.1", self.target)

    async def _pump(self, way: Bytes, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(65536):
                await asyncio.sleep(way.delay)
                left = None if way.breaks_at is None else max(0, way.breaks_at - way.seen)
                way.seen += len(piece)
                if not way.stalled:
                    sink.write(piece if left is None else piece[:left])
                    await sink.drain()
                if left is not None and left <= len(piece):
                    self.broken += 1
                    return

    def _end(self, writer: asyncio.StreamWriter) -> None:
        raw = writer.get_extra_info("socket")
        if self.resets and raw is not None:
            with suppress(OSError):  # it is closed already
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()


@asynccontextmanager
async def faulty_wire(target: int | Path) -> AsyncIterator[FaultyWire]:
    """A wire to a port on loopback or to a Unix socket, good until it is told otherwise."""
    wire = FaultyWire(target)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.break_now()
