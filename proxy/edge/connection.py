"""One connection to the forward listener until its tunnel is open: heads of CONNECT, an answer to each, TLS.

Nothing in it connects anywhere. What a CONNECT may lead to is decided by the gate, and what comes out of the tunnel is
handed to it.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Protocol, cast

import structlog

from proxy.edge.connect import HEAD_END, MAX_HEAD_BYTES, Connect, parse_connect
from proxy.edge.exchange import Exchange, new_request_id
from proxy.edge.problem import raw_problem
from proxy.errors import ConnectMalformed, HeadTimeout, HeadTooLarge, ShuttingDown, TunnelHandshakeFailed
from proxy.hosts import HostPort
from proxy.wire.client_certificate import client_certificate
from vault.errors import PanlessError

HEAD_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
# After a refusal: what still comes is read and dropped for so long, or the answer could be lost to a reset.
LINGER_SECONDS = 1.0
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tunnel:
    """An open tunnel: the host that it was opened for, the application key that came with CONNECT, and the client
    certificate (DER) of the connection that it goes through.
    """

    to: HostPort
    key: str = field(repr=False)
    certificate: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Opening:
    """The decision that a tunnel may be opened, and how its TLS ends."""

    tunnel: Tunnel
    tls: ssl.SSLContext


class Gate(Protocol):
    """What a connection needs of its listener."""

    name: str
    stopping: bool
    connections: set[Connection]

    async def opens(self, connect: Connect, exchange: Exchange) -> Opening:
        """Decide on a CONNECT; raises a PanlessError if no tunnel is opened."""

    def account(self, exchange: Exchange, method: str, status: int, code: str) -> None:
        """Log and count how a CONNECT ended."""

    def serve(self, tunnel: Tunnel, transport: asyncio.Transport, early: Early) -> None:
        """Take an open tunnel over."""


class Early(asyncio.Protocol):
    """Keeps what arrives between the end of the handshake and the moment that the HTTP server takes over."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self.lost = True


class Connection(asyncio.Protocol):
    """One connection until its tunnel is open: reads heads, one at a time, and answers each."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._transport: asyncio.Transport = _NOWHERE
        self._head = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._overrun = False  # more came than one head, before our answer was out
        self._shaking = False
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._gate.connections.add(self)
        if self._gate.stopping:
            self._transport.close()
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._task is not None:
            self._overrun = True
            return
        self._head += data
        end = self._head.find(HEAD_END) + len(HEAD_END)
        complete = end >= len(HEAD_END)
        if (end if complete else len(self._head)) > MAX_HEAD_BYTES:
            self._break_off(HeadTooLarge(limit=MAX_HEAD_BYTES))
        elif complete:
            self._stop_timer()
            self._overrun = len(self._head) > end
            self._task = asyncio.get_running_loop().create_task(self._answer(bytes(self._head[:end])))

    def eof_received(self) -> bool:
        if self._task is None and self._head and not self._refused:
            self._break_off(ConnectMalformed())
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        # A decision that is under way is not cancelled: it may be writing an audit event.
        self._stop_timer()
        self._gate.connections.discard(self)

    async def end(self) -> None:
        """Close the connection once what is being decided is decided."""
        if self._task is not None:
            if self._shaking:
                self._task.cancel()
            await asyncio.wait([self._task])
        self._transport.close()

    def _expect_head(self) -> None:
        self._head.clear()
        self._task = None
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._late)

    def _late(self) -> None:
        if self._head:
            self._break_off(HeadTimeout())
        else:
            self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _break_off(self, error: PanlessError) -> None:
        self._stop_timer()
        self._refuse(error, self._begin(), stays=False)

    def _begin(self) -> Exchange:
        peer = self._transport.get_extra_info("peername")
        shown = client_certificate(self._transport)
        return Exchange(self._gate.name, new_request_id(), peer[0] if peer else None, certificate=shown)

    async def _answer(self, head: bytes) -> None:
        exchange, stays = self._begin(), False
        try:
            if self._overrun:
                raise ConnectMalformed
            connect = parse_connect(head)
            stays = connect.stays
            opening = await self._gate.opens(connect, exchange)
            if self._overrun:
                raise ConnectMalformed
            if self._gate.stopping:
                raise ShuttingDown
        except PanlessError as error:
            self._refuse(error, exchange, stays=stays)
        except Exception as error:  # answered as internal_error; nothing was opened
            log.error("connect_failed", request_id=exchange.request_id, route=exchange.route, exc_info=error)
            self._refuse(PanlessError(), exchange, stays=False)
        else:
            await self._open(opening, exchange)

    def _refuse(self, error: PanlessError, exchange: Exchange, *, stays: bool) -> None:
        stays = stays and not self._overrun and not self._gate.stopping
        status, answer = raw_problem(error, exchange.request_id, stays=stays)
        self._gate.account(exchange, "CONNECT", status, error.code)
        if self._transport.is_closing():
            return
        self._transport.write(answer)
        if stays:
            self._expect_head()
            return
        self._refused = True
        if self._transport.can_write_eof() and not self._gate.stopping:
            self._transport.write_eof()
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)
        else:
            self._transport.close()

    async def _open(self, opening: Opening, exchange: Exchange) -> None:
        early, inner = Early(), None
        if not self._transport.is_closing():
            self._shaking = True
            self._transport.write(_ESTABLISHED)
            try:
                # Nothing runs between the answer and start_tls: every byte from here on goes to TLS.
                inner = await asyncio.get_running_loop().start_tls(
                    self._transport, early, opening.tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
                )
            except (OSError, TimeoutError):
                self._transport.close()
        self._gate.connections.discard(self)
        failed = inner is None or early.lost
        self._gate.account(exchange, "CONNECT", 200, TunnelHandshakeFailed.code if failed else "")
        if inner is not None and not early.lost:
            self._gate.serve(opening.tunnel, inner, early)


# Stands where the transport will be, so that nobody has to ask whether it is there yet.
_NOWHERE = asyncio.Transport()
