"""A worker: a Panless of its own, which its supervisor lets listen, change and stop. Without a supervisor it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import structlog

from proxy.config import Config, load_text
from proxy.edge.output import output
from proxy.errors import WorkersFailed
from proxy.workers.channel import Channel, Message
from proxy.workers.forking import Birth
from proxy.workers.merging import Families
from proxy.workers.place import Place

TELL_SECONDS = 5.0
ORPHAN_SECONDS = 20.0
MERGED_SECONDS = 10.0

log = structlog.get_logger()


class Reads(Protocol):
    """What `proxy.reloading` offers."""

    async def prepare(self, text: str) -> Any: ...
    async def record(self, prepared: Any) -> None: ...
    async def record_rejected(self, code: str, detail: str) -> None: ...
    def take(self, prepared: Any) -> None: ...


class Serves(Protocol):
    """What a worker runs."""

    @property
    def urls(self) -> Mapping[str, str]: ...
    @property
    def reloading(self) -> Reads: ...
    async def open(self) -> None: ...
    async def listen(self) -> None: ...
    async def stop(self) -> None: ...
    def metrics(self) -> Families: ...


class Worker:
    """`build` makes what is served. `run` returns when the worker has ended; raises what keeps it from starting."""

    def __init__(self, birth: Birth, file: Path, build: Callable[[Config, Place], Serves]) -> None:
        self._birth = birth
        self._file = file
        self._build = build
        self._stop = asyncio.Event()
        self._served: Serves | None = None
        self._prepared: Any = None

    async def run(self) -> None:
        """Serve until it is told to stop, or nobody is there who could tell it."""
        output.worker = self._birth.number
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        self._channel = await Channel.open(self._birth.end, self._answer)
        line = asyncio.create_task(self._channel.run())
        line.add_done_callback(lambda _: self._stop.set())
        given = await self._channel.ask("begin")
        config = load_text(given["text"], self._file)
        digest = sha256(given["text"].encode()).hexdigest()
        place = Place(self._birth.number, given["ports"], digest, self._birth.restarted, self._merged)
        self._served = served = self._build(config, place)
        try:
            await self._start_and_wait(served)
        finally:
            if line.done():
                log.error("supervisor_is_gone")
                seconds = config.limits.stop_seconds + ORPHAN_SECONDS
                asyncio.get_running_loop().call_later(seconds, os._exit, 1)
            await served.stop()
            await self._tell()

    async def _start_and_wait(self, served: Serves) -> None:
        starting = asyncio.create_task(self._start(served))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        starting.result()
        while not self._stop.is_set():
            await asyncio.wait({stopping}, timeout=TELL_SECONDS)
            await self._tell()

    async def _start(self, served: Serves) -> None:
        await served.open()
        if "code" in await self._channel.ask("listen"):
            raise WorkersFailed(reason="the configuration that is in force cannot be taken over")
        await served.listen()
        await self._channel.ask("ready", urls=dict(served.urls))

    async def _tell(self) -> None:
        """Let the supervisor have the metrics, which are to outlive this process."""
        if self._served is not None:
            with suppress(ConnectionError, TimeoutError):
                await self._channel.ask("metrics", families=self._served.metrics(), seconds=TELL_SECONDS)

    async def _merged(self) -> bytes:
        try:
            answer = await self._channel.ask("merged", seconds=MERGED_SECONDS)
        except (ConnectionError, TimeoutError):
            raise WorkersFailed(reason="the supervisor does not answer") from None
        return str(answer["text"]).encode()

    async def _answer(self, message: Message) -> Message:
        if message["ask"] == "stop":
            self._stop.set()
            return {}
        if self._served is None:
            raise WorkersFailed(reason="the worker has not begun")
        if message["ask"] == "look":
            return {"families": self._served.metrics()}
        return await self._change(self._served.reloading, message)

    async def _change(self, reading: Reads, message: Message) -> Message:
        match message["ask"]:
            case "prepare":
                self._prepared = None
                self._prepared = await reading.prepare(message["text"])
                return {"news": self._prepared.news, "changed": list(self._prepared.changed)}
            case "record":
                await reading.record(self._prepared)
            case "apply":
                reading.take(self._prepared)
            case "rejected":
                await reading.record_rejected(**message["about"])
        return {}
