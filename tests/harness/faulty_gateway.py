"""A gateway on loopback with which anything can go wrong, and which counts what it has charged.

`POST /v1/charges` makes one charge per Idempotency-Key, or one per request where idempotency is switched off. Every
connection carries one request and has one fault (fault_plan.py). Beside it there is a port for control, without faults:
`POST /_plan`, `GET /_charges`, `POST /_reset`.

In a process of its own, which can be killed: `python -m tests.harness.faulty_gateway --port P --journal FILE`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.harness.fault_plan import UNCHARGED, Fault, Plan
from tests.harness.ledger import Ledger

_GONE = (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, json.JSONDecodeError)


@dataclass
class Request:
    """A request that arrived whole."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


class FaultyGateway:
    """`connections` counts those that were accepted; `received` are the requests that arrived whole."""

    def __init__(self, ledger: Ledger | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.ledger = ledger or Ledger()
        self.plan = Plan()
        self.connections = 0
        self.received: list[Request] = []
        self.port = self.control_port = 0
        self._tls = tls
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def control(self) -> str:
        return f"http://127.0.0.1:{self.control_port}"

    def will(self, *faults: Fault, always: Fault | None = None) -> None:
        """Forget what was, and let these faults happen one by one, then `always`."""
        self.connections = 0
        self.received.clear()
        self.ledger.reset()
        self.plan.give(faults, always=always or Fault())

    async def start(self, port: int = 0, control_port: int = 0) -> None:
        self.port, main = await self._listen(self._serve, port)
        self.control_port, control = await self._listen(self._serve_control, control_port)
        self._servers = [main, control]

    def refuse(self) -> None:
        """Listen no more: connections are refused until `listen_again`."""
        self._servers[0].close()

    async def listen_again(self) -> None:
        _, self._servers[0] = await self._listen(self._serve, self.port)

    def hang_up(self) -> None:
        """Close every connection there is."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        self.hang_up()
        self.ledger.close()

    async def _listen(self, serve, port: int) -> tuple[int, asyncio.Server]:
        server = await asyncio.start_server(serve, "127.0.0.1", port, limit=2**17)
        return server.sockets[0].getsockname()[1], server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._track()
        self.connections += 1
        fault = self.plan.next()
        try:
            if fault.kind == "refuse":
                return _reset(writer)
            if fault.kind == "tls_stall":
                return await _until_gone(reader)
            if fault.kind == "tls_reset":
                await reader.read(1)
                return _reset(writer)
            if self._tls is not None:
                await writer.start_tls(self._tls)
            if fault.kind == "reset_request":
                await _at_most(reader, fault.at)
                return _reset(writer)
            await self._answer(await read_request(reader), fault, reader, writer)
        except _GONE:
            pass
        finally:
            writer.close()

    async def _answer(
        self, request: Request, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.received.append(request)
        if fault.kind == "hang_before":
            return await _until_gone(reader)
        status, document = self._charged(request) if fault.kind not in UNCHARGED else (fault.status or 429, {})
        if fault.kind == "error_after":
            status, document = fault.status, {"error": "after"}
        await asyncio.sleep(fault.seconds if fault.kind == "latency" else 0)
        await _write(_bytes(status, document, fault), fault, writer)
        if fault.kind == "reset_answer":
            _reset(writer)
        elif fault.kind == "hang_after":
            await _until_gone(reader)
        return None

    def _charged(self, request: Request) -> tuple[int, dict]:
        if request.method == "GET":
            return 200, {"charges": len(self.ledger.charges)}
        if not request.target.startswith("/v1/charges"):
            return 404, {"error": "no such resource"}
        document = json.loads(request.body)
        card = document.get("card", "")
        number = str(card.get("number", "")) if isinstance(card, dict) else str(card)
        charge = self.ledger.charge(request.key, number, int(document.get("amount", 0)))
        return (200, charge.answer) if charge is not None else (422, {"error": "the key is another request's"})

    async def _serve_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._track()
        try:
            request = await read_request(reader)
            document: object = {"connections": self.connections, "received": len(self.received)}
            if request.target == "/_plan":
                wanted = json.loads(request.body)
                self.ledger.idempotent = wanted.get("idempotent", self.ledger.idempotent)
                self.plan.read(wanted)
            elif request.target == "/_reset":
                self.will()
            elif request.target == "/_charges":
                document = [asdict(each) for each in self.ledger.charges]
            await _write(_bytes(200, document, Fault()), Fault(), writer)
        except _GONE:
            pass
        finally:
            writer.close()

    def _track(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read one request, with Content-Length or chunked."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, target, _ = first.split(" ", 2)
    if "chunked" in headers.get("transfer-encoding", ""):
        pieces = []
        while size := int(await reader.readline(), 16):
            pieces.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        return Request(method, target, headers, b"".join(pieces))
    return Request(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def _bytes(status: int, document: object, fault: Fault) -> bytes:
    """Return the answer as it goes over the wire."""
    if fault.kind == "garbage":
        return b"\x16\x03\x01 \xff\x00 this is no HTTP \r\n\r\n" * 4
    body = json.dumps(document).encode()
    length = len(body) + {"too_long": 7, "too_short": -7}.get(fault.kind, 0)
    lines = [f"HTTP/1.1 {status} Status", "Content-Type: application/json", "Connection: close"]
    if fault.kind == "too_many":
        lines.append(f"Retry-After: {fault.date or f'{fault.seconds:g}'}")
    return "\r\n".join([*lines, f"Content-Length: {max(length, 0)}", "", ""]).encode() + body


async def _write(answer: bytes, fault: Fault, writer: asyncio.StreamWriter) -> None:
    if fault.kind in ("reset_answer", "hang_after", "cut"):
        answer = answer[: fault.at]
    if fault.kind == "drip":
        for each in answer:
            writer.write(bytes([each]))
            await writer.drain()
            await asyncio.sleep(fault.seconds)
        return
    writer.write(answer)
    await writer.drain()


async def _at_most(reader: asyncio.StreamReader, size: int) -> None:
    """Read so many bytes of a request, or all of it."""
    with suppress(TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(0.05):  # a client that has sent everything sends no more
            await reader.readexactly(size)


async def _until_gone(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def faulty(*, idempotent: bool = True, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultyGateway]:
    """A faulty gateway in this process."""
    gateway = FaultyGateway(Ledger(idempotent=idempotent), tls)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


@dataclass
class FaultyProcess:
    """A faulty gateway in a process of its own: killed and started again it knows its charges by the journal."""

    journal: Path
    idempotent: bool = True
    port: int = 0
    control_port: int = 0
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def control(self) -> str:
        return f"http://127.0.0.1:{self.control_port}"

    async def start(self) -> FaultyProcess:
        """Start it, on the same ports as before if it ran before."""
        ports = ["--port", str(self.port), "--control", str(self.control_port)]
        command = [sys.executable, "-m", "tests.harness.faulty_gateway", "--journal", str(self.journal), *ports]
        if not self.idempotent:
            command.append("--ignores-keys")
        self.process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert self.process.stdout is not None
        _ready, port, control = (await self.process.stdout.readline()).split()
        self.port, self.control_port = int(port), int(control)
        return self

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


async def _main() -> None:
    parser = argparse.ArgumentParser(description="A gateway that fails as it is told, and counts its charges.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control", type=int, default=0)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--ignores-keys", action="store_true")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--share", type=float, default=0.5)
    given = parser.parse_args()
    gateway = FaultyGateway(Ledger(given.journal, idempotent=not given.ignores_keys))
    if given.seed is not None:
        gateway.plan.draw(given.seed, given.share)
    await gateway.start(given.port, given.control)
    print("ready", gateway.port, gateway.control_port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_main())
