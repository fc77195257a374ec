"""The load generator: keep-alive connections, each sending its next request when the last one is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Measured:
    """Seconds of each request, of the whole, and whether all were answered with 200."""

    latencies: list[float]
    seconds: float
    statuses: set[int]
    bodies: list[bytes]

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], measured: Measured, keep_bodies: bool) -> None:
        self.requests = requests
        self.measured = measured
        self.keep_bodies = keep_bodies
        self.buffer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        request = next(self.requests, None)
        if request is None:
            self.transport.close()
            self.done.set_result(None)
            return
        self.started = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        self.measured.latencies.append(time.perf_counter() - self.started)
        self.measured.statuses.add(int(self.buffer[9:12]))
        if self.keep_bodies:
            self.measured.bodies.append(self.buffer[end + 4 : end + 4 + length])
        self.buffer = b""
        self._send()

    def connection_lost(self, exc) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed early"))


async def run(url: str, requests: list[bytes], connections: int, *, keep_bodies: bool = False) -> Measured:
    """Send all requests over so many connections."""
    parts = urlsplit(url)
    measured = Measured([], 0, set(), [])
    shared = iter(requests)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    made = [
        await loop.create_connection(lambda: Connection(shared, measured, keep_bodies), parts.hostname, parts.port)
        for _ in range(min(connections, len(requests)))
    ]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    measured.seconds = time.perf_counter() - started
    return measured


def post(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
