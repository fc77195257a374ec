"""Which certificate an upstream shows: noted at each TLS handshake, before anything is sent.

The same places tell an attempt how far it has come.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.connector import Connection

from proxy.upstream.attempt import current

_ATTRIBUTE = "panless_certificate"


@dataclass(slots=True)
class Shown:
    """The SHA-256 (hex) of the certificate in the newest handshake with an upstream; None before the first."""

    certificate: str | None = None

    def watch(self, context: ssl.SSLContext) -> None:
        """Note what is shown to connections of a context."""
        shown = self

        class Watched(ssl.SSLObject):
            panless_begun = False

            def do_handshake(self) -> None:
                if not self.panless_begun:
                    # Called for each message of the handshake; the first time in the context of who connects.
                    self.panless_begun = True
                    if (attempt := current.get()) is not None:
                        attempt.handshake()
                super().do_handshake()
                certificate = hashlib.sha256(self.getpeercert(binary_form=True) or b"").hexdigest()
                setattr(self, _ATTRIBUTE, certificate)
                shown.certificate = certificate

        context.sslobject_class = Watched


@dataclass(frozen=True, slots=True)
class Expected:
    """The certificate that was recorded, and whom to tell of another one before anything is sent."""

    certificate: str
    told: Callable[[str], Awaitable[None]]


expected: ContextVar[Expected | None] = ContextVar("expected", default=None)


class WatchingConnector(aiohttp.TCPConnector):
    """A pool of connections that tells when a request gets one with another certificate than was expected."""

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Connection:  # noqa: ASYNC109  # aiohttp's
        attempt = current.get()
        if attempt is not None and attempt.is_repeated:
            raise aiohttp.ServerDisconnectedError  # aiohttp would send it again: that is for proxy/upstream/retrying.py
        connection = await super().connect(req, traces, timeout)
        wanted = expected.get()
        if attempt is not None and wanted is not None:
            attempt.connected()
        try:
            if wanted is not None and (found := _certificate(connection)) not in (None, wanted.certificate):
                await wanted.told(str(found))
        except BaseException:
            connection.close()
            raise
        if attempt is not None:
            attempt.sending()
        return connection


def _certificate(connection: Connection) -> str | None:
    tls = connection.transport.get_extra_info("ssl_object") if connection.transport is not None else None
    found: str | None = getattr(tls, _ATTRIBUTE, None)
    return found


async def look(host: str, port: int, context: ssl.SSLContext) -> None:
    """Do a handshake and nothing more; raises OSError."""
    _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    writer.close()
