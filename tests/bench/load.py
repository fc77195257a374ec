"""The load: keep-alive connections, each sending its next request when the last one is answered.

Requests are made beforehand, and of an answer no more is read than its status and its length.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
CHUNKED_END = b"\r\n0\r\n\r\n"


@dataclass
class Job:
    """Requests to send to a server, over so many connections. `ca`: who has signed its certificate, a file.

    `rate`: how many a second, evenly; 0: each as soon as a connection is free.
    """

    url: str
    requests: Sequence[bytes]
    connections: int
    ca: str | None = None
    keep_bodies: bool = False
    rate: float = 0


@dataclass
class Measured:
    """Seconds of each request, of the whole, and of CPU; how many answers had which status; bodies if they are kept."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0
    cpu_seconds: float = 0
    statuses: dict[int, int] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    problem: str = ""


class Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], measured: Measured, keep_bodies: bool, pace: Pace | None) -> None:
        self.requests = requests
        self.measured = measured
        self.keep_bodies = keep_bodies
        self.pace = pace
        self.buffer = b""
        self.ends = 0  # where the answer ends, once its head is there; -1: with its last chunk
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def send(self) -> None:
        request = next(self.requests, None)
        if request is None:
            self.transport.close()
            self.done.set_result(None)
            return
        if self.pace is not None:
            self.pace.send(self, request)
            return
        self.started = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer = self.buffer + data if self.buffer else data
        if not self.ends and not self._read_head(buffer):
            return
        if (len(buffer) < self.ends) if self.ends > 0 else not buffer.endswith(CHUNKED_END):
            return
        measured, status = self.measured, int(buffer[9:12])
        measured.latencies.append(time.perf_counter() - self.started)
        measured.statuses[status] = measured.statuses.get(status, 0) + 1
        if self.keep_bodies:
            measured.bodies.append(buffer[buffer.find(b"\r\n\r\n") + 4 :])
        self.buffer, self.ends = b"", 0
        self.send()

    def _read_head(self, buffer: bytes) -> bool:
        end = buffer.find(b"\r\n\r\n")
        if end >= 0:
            length = _LENGTH.search(buffer, 0, end)
            self.ends = end + 4 + int(length[1]) if length else -1
        return end >= 0

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed early"))


class Pace:
    """Requests at an even rate. One that no connection was free for waits, and that is part of its time."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._begun = 0.0
        self._sent = 0

    def send(self, connection: Connection, request: bytes) -> None:
        now = time.perf_counter()
        self._begun = self._begun or now
        due = self._begun + self._sent / self._rate
        self._sent += 1
        if due > now:
            asyncio.get_running_loop().call_later(due - now, self._send, connection, request)
            return
        connection.started = due
        connection.transport.write(request)

    def _send(self, connection: Connection, request: bytes) -> None:
        connection.started = time.perf_counter()  # the timer's own lateness is nobody's latency
        connection.transport.write(request)


async def connect(job: Job, measured: Measured) -> list[Connection]:
    """Open the connections of a job; nothing is sent yet."""
    parts = urlsplit(job.url)
    trusted = ssl.create_default_context(cafile=job.ca) if parts.scheme == "https" else None
    shared, pace = iter(job.requests), Pace(job.rate) if job.rate else None
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(
            lambda: Connection(shared, measured, job.keep_bodies, pace), parts.hostname, parts.port, ssl=trusted
        )
        for _ in range(min(job.connections, len(job.requests)))
    ]
    return [protocol for _, protocol in made]


async def send_all(connections: Sequence[Connection], measured: Measured) -> None:
    """Send all requests of a job; what goes wrong is told as `problem`."""
    started, before = time.perf_counter(), time.process_time()
    for each in connections:
        each.send()
    ends = await asyncio.gather(*(each.done for each in connections), return_exceptions=True)
    measured.seconds = time.perf_counter() - started
    measured.cpu_seconds = time.process_time() - before
    failed = [end for end in ends if isinstance(end, BaseException)]
    if failed:
        measured.problem = f"{len(failed)} connections broke ({type(failed[0]).__name__})"
