"""The line between the supervisor and a worker: each can ask the other, and sees when the other is gone.

A frame is four bytes of length and a JSON object: {"id", "ask", ...} or the answer {"re", ...}. The socket is a pair
that both were born with; nobody else can have an end of it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import structlog

from vault.errors import PanlessError

Message = dict[str, Any]
Answer = Callable[[Message], Awaitable[Message]]

_LENGTH = struct.Struct(">I")

log = structlog.get_logger()


class Channel:
    """One end. Let `run` run; `ask` raises ConnectionError once the other is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._gone = False

    @classmethod
    async def open(cls, end: socket.socket, answer: Answer) -> Channel:
        """`answer` is called with what the other asks, and returns the members of the answer."""
        return cls(*await asyncio.open_unix_connection(sock=end), answer)

    async def ask(self, what: str, *, seconds: float | None = None, **members: Any) -> Message:
        """Return the answer; raises ConnectionError or TimeoutError."""
        if self._gone:
            raise ConnectionError
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"id": number, "ask": what, **members})
            async with asyncio.timeout(seconds):
                return await self._waiting[number]
        finally:
            del self._waiting[number]

    async def run(self) -> None:
        """Read until the other is gone."""
        try:
            while True:
                (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
                self._take(json.loads(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._gone = True
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError())
            self._writer.close()

    def _take(self, message: Message) -> None:
        if "ask" in message:
            task = asyncio.create_task(self._reply(message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif (waiting := self._waiting.get(message["re"])) is not None and not waiting.done():
            waiting.set_result(message)

    async def _reply(self, message: Message) -> None:
        try:
            answer = await self._answer(message)
        except PanlessError as error:
            answer = {"code": error.code, "detail": error.detail}
        except Exception as error:  # whoever asked has to hear something
            log.error("not_answered", exc_info=error)
            answer = {"code": PanlessError.code, "detail": PanlessError.message}
        self._send({"re": message["id"], **answer})

    def _send(self, message: Message) -> None:
        if not self._gone:
            frame = json.dumps(message).encode()
            self._writer.write(_LENGTH.pack(len(frame)) + frame)
