"""The connections to upstreams: kept open between requests, used again newest first, each for one request at a time."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
import socket
import ssl
from typing import NamedTuple

from aiohappyeyeballs import start_connection

from proxy.upstream.attempt import Attempt, Phase, in_time
from proxy.upstream.connection import Connection

KEEP_SECONDS = 30.0
# An upstream that closes idle connections says after how long; it must not do so while a request is on its way.
_MARGIN_SECONDS = 1.0
_EYEBALLS_SECONDS = 0.25  # RFC 8305, section 5
_hint = re.compile(r"timeout=([0-9]{1,6})", re.ASCII | re.IGNORECASE).search


class Place(NamedTuple):
    """Where a connection leads. `tls` is by identity: another context trusts or shows something else."""

    host: str
    port: int
    tls: ssl.SSLContext | None


class Pool:
    """Idle connections by place. `close` ends them; those in use end with their requests."""

    def __init__(self) -> None:
        self._idle: dict[Place, list[Connection]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False

    def idle(self, place: Place) -> Connection | None:
        """Return a connection that nobody uses, if there is one."""
        idle = self._idle.get(place)
        while idle:
            connection = idle.pop()
            if connection.is_open and connection.loop.time() < connection.kept_until:
                return connection
            connection.abort()
        return None

    def give(self, place: Place, connection: Connection) -> None:
        """Take a connection back, whose answer is whole or that was not used; if it cannot be used again, close it."""
        if self._is_closed or not connection.is_open:
            connection.abort()
            return
        loop = connection.loop
        connection.kept_until = loop.time() + keep_seconds(connection.reader.keep_alive)
        connection.idle()
        self._idle.setdefault(place, []).append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(KEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        kept: dict[Place, list[Connection]] = {}
        for place, idle in self._idle.items():
            for connection in idle:
                if connection.is_open and now < connection.kept_until:
                    kept.setdefault(place, []).append(connection)
                else:
                    connection.abort()
        self._idle = kept
        self._sweeper = loop.call_later(KEEP_SECONDS, self._sweep) if kept else None

    def close(self) -> None:
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in [each for idle in self._idle.values() for each in idle]:
            connection.abort()
        self._idle.clear()


def keep_seconds(said: str) -> float:
    """Return for how long to keep a connection: less than the upstream's own Keep-Alive says, if it says it."""
    found = _hint(said) if said else None
    return min(KEEP_SECONDS, float(found[1]) - _MARGIN_SECONDS) if found else KEEP_SECONDS


async def connected(place: Place, attempt: Attempt) -> Connection:
    """Return a new connection; raises Late, OSError or ssl.SSLError, and then nothing was sent."""
    sock = await in_time(attempt.enter(Phase.CONNECTING), _socket(place.host, place.port))
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        until = attempt.enter(Phase.HANDSHAKE) if place.tls is not None else attempt.until
        return await in_time(until, _open(place, sock))
    except BaseException:
        sock.close()
        raise


async def _open(place: Place, sock: socket.socket) -> Connection:
    loop = asyncio.get_running_loop()
    name = place.host if place.tls is not None else None
    transport, connection = await loop.create_connection(Connection, sock=sock, ssl=place.tls, server_hostname=name)
    if (tls := transport.get_extra_info("ssl_object")) is not None:
        connection.certificate = hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
    return connection


async def _socket(host: str, port: int) -> socket.socket:
    """Connect to the first address that answers (RFC 8305)."""
    loop = asyncio.get_running_loop()
    flags = socket.AI_NUMERICHOST if _is_address(host) else socket.AI_ADDRCONFIG
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return await start_connection(found, happy_eyeballs_delay=_EYEBALLS_SECONDS, interleave=1, loop=loop)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
