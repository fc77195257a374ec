"""The certificate that a client showed in its TLS handshake, where it was verified against the listener's client_ca."""

from __future__ import annotations

import asyncio
from ssl import SSLObject


def client_certificate(transport: asyncio.BaseTransport | None) -> bytes | None:
    """Return it (DER), or None if there is no TLS or none was shown."""
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    return tls.getpeercert(binary_form=True) if isinstance(tls, SSLObject) else None
