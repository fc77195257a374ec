"""Syslog: RFC 5424 messages with octet counting, over TLS (RFC 5425) or, on loopback, TCP (RFC 6587).

The protocol has no receipts. A batch is a connection of its own, and is taken to have arrived when the other side has
read to its end and closed; that it was stored, nothing shows.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from proxy.config.audit import SyslogSink
from proxy.sinks.payload import Payload, failed

_PRIORITY = 13 * 8 + 5  # log audit, notice


class Syslog:
    """One receiver. Without `tls` it is on loopback."""

    def __init__(self, config: SyslogSink, tls: ssl.SSLContext | None) -> None:
        self._config = config
        self._tls = tls

    async def send(self, payload: Payload) -> None:
        frames = b"".join(_frames(payload))
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                await self._deliver(frames)
        except (OSError, TimeoutError, ssl.SSLError):
            raise failed(self._config, "it does not take the messages") from None

    async def close(self) -> None:
        """Nothing is held."""

    async def _deliver(self, frames: bytes) -> None:
        host, _, port = self._config.address.rpartition(":")
        host = host.strip("[]")
        name = host if self._tls else None
        reader, writer = await asyncio.open_connection(host, int(port), ssl=self._tls, server_hostname=name)
        try:
            writer.write(frames)
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
                while await reader.read(4096):
                    pass
        finally:
            writer.close()
            with suppress(ssl.SSLError):  # it may close without a close_notify
                await writer.wait_closed()


def _frames(payload: Payload) -> Iterator[bytes]:
    for line in payload.lines:
        yield _frame("event", line)
    for note in payload.notes:
        yield _frame("checkpoint", json.dumps({"number": note.number, "checkpoint": note.note}))


def _frame(kind: str, text: str) -> bytes:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    host = "".join(each for each in socket.gethostname() if "!" <= each <= "~")[:255] or "-"
    message = f"<{_PRIORITY}>1 {at} {host} panless {os.getpid()} {kind} - {text}".encode()
    return b"%d %s" % (len(message), message)
