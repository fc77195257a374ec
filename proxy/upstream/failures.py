"""What went wrong on the way to an upstream, in our own errors: without messages, which quote."""

from __future__ import annotations

import ssl

from proxy.errors import Reached, RequestError, UpstreamError
from proxy.upstream.answer_reader import AnswerMalformed
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
    return error if isinstance(error, RequestError) else _kind(error, reached)(reached=reached, route=route)


def _kind(error: Exception, reached: Reached) -> type[UpstreamError]:
    if reached == "no":
        is_of_tls = isinstance(error, ssl.SSLError) and not isinstance(error, _BROKEN_OFF)
        return UpstreamCertificateInvalid if is_of_tls else UpstreamUnreachable
    return UpstreamAnswerInvalid if isinstance(error, AnswerMalformed) else UpstreamDisconnected
