"""The TLS contexts of tunnels: one per host, with a certificate of Panless's own authority."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vault.authority import Leaf

Ask = Callable[[str], Awaitable[Leaf]]


@dataclass(frozen=True, slots=True)
class _Held:
    leaf: Leaf
    context: ssl.SSLContext


class Certificates:
    """Asks the authority for each host's certificate, and loads it once. `ask` is `Authority.leaf`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._held: dict[str, _Held] = {}

    async def context(self, host: str) -> ssl.SSLContext:
        """Return the context that a tunnel to `host` is ended with; raises a PanlessError."""
        leaf = await self._ask(host)
        held = self._held.get(host)
        if held is None or held.leaf is not leaf:
            held = self._held[host] = _Held(leaf, _context(leaf))
        return held.context


def _context(leaf: Leaf) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.keylog_filename = None  # type: ignore[assignment]  # whatever SSLKEYLOGFILE says
    context.set_alpn_protocols(["http/1.1"])

    def check_name(_tls: object, name: str | None, _context: ssl.SSLContext) -> int | None:
        return None if name is None or name.lower() == leaf.host else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = check_name
    load_pem(context, leaf.pem)
    return context


def load_pem(context: ssl.SSLContext, pem: bytes) -> None:
    """Load a certificate and its key, which ssl takes from files only, without leaving a file behind."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        descriptor, path = os.memfd_create("certificate", os.MFD_CLOEXEC), ""
    else:
        descriptor, path = tempfile.mkstemp()  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(path or f"/proc/self/fd/{descriptor}")
    finally:
        if path:
            os.unlink(path)
