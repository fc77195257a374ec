"""What aiohttp says went wrong, in our own errors: without its messages, which quote."""

from __future__ import annotations

import ssl

import aiohttp

from proxy.errors import Reached, RequestError, UpstreamError
from proxy.upstream.errors import (
    UpstreamAnswerInvalid,
    UpstreamCertificateInvalid,
    UpstreamDisconnected,
    UpstreamUnreachable,
)

# A handshake that breaks off says nothing about the certificate.
_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


def translated(error: Exception, route: str, reached: Reached) -> RequestError:
    """Return the error to raise. An error of the client's body, while it was being sent on, is returned as it is."""
    for broken_off in (error, error.__cause__, error.__context__):
        if isinstance(broken_off, RequestError):
            return broken_off
    return _kind(error, reached)(reached=reached, route=route)


def _kind(error: Exception, reached: Reached) -> type[UpstreamError]:
    if reached == "no":
        return UpstreamCertificateInvalid if _is_of_tls(error) else UpstreamUnreachable
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError | ValueError):
        return UpstreamAnswerInvalid
    return UpstreamDisconnected


def _is_of_tls(error: Exception) -> bool:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.CertificateError):
        return True
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return isinstance(cause, ssl.SSLError) and not isinstance(cause, _BROKEN_OFF)
