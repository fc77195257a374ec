"""What goes wrong between a request and its answer's head, each with a code, and whether the upstream was reached."""

from __future__ import annotations

from proxy.errors import UpstreamError

_FIND_OUT = "Find out whether the request took effect before you repeat it, or repeat it with its idempotency key."


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"
    message = "The upstream of route {route} could not be connected to; it did not get the request."
    remedy = "Check that the upstream runs and can be reached from Panless; then retry."


class UpstreamCertificateInvalid(UpstreamError):
    code = "upstream_certificate_invalid"
    message = "The upstream of route {route} did not show a valid certificate; it did not get the request."
    remedy = "Check the upstream's host name and certificate, and the route's `ca`."


class UpstreamDisconnected(UpstreamError):
    code = "upstream_disconnected"
    message = "The upstream of route {route} closed the connection; it may have got the request."
    remedy = _FIND_OUT


class UpstreamAnswerInvalid(UpstreamError):
    code = "upstream_answer_invalid"
    message = "The upstream of route {route} sent an answer that is not valid HTTP; it may have got the request."
    remedy = _FIND_OUT


class UpstreamTimeout(UpstreamError):
    """Base of the time-outs."""

    status = 504


class UpstreamConnectTimeout(UpstreamTimeout):
    code = "upstream_connect_timeout"
    message = "The upstream of route {route} did not take the connection in time; it did not get the request."
    remedy = "Check that the upstream runs and can be reached from Panless, or raise `timeouts.connect`; then retry."


class UpstreamTlsTimeout(UpstreamTimeout):
    code = "upstream_tls_timeout"
    message = "The upstream of route {route} did not complete the TLS handshake in time; it did not get the request."
    remedy = "Check that the upstream speaks TLS on this port, or raise `timeouts.tls`; then retry."


class UpstreamFirstByteTimeout(UpstreamTimeout):
    code = "upstream_first_byte_timeout"
    message = "The upstream of route {route} did not begin to answer in time; it may have got the request."
    remedy = _FIND_OUT


class UpstreamStalled(UpstreamTimeout):
    code = "upstream_stalled"
    message = "The upstream of route {route} stopped in the middle of a body; it may have got the request."
    remedy = _FIND_OUT


class UpstreamWholeTimeout(UpstreamTimeout):
    code = "upstream_whole_timeout"
    message = "The request on route {route} took longer than `timeouts.whole`; see reached_upstream in this answer."
    remedy = (
        "Retry if reached_upstream is no. Else find out whether it took effect, or repeat it with its idempotency key."
    )


class UpstreamCircuitOpen(UpstreamError):
    status = 503
    code = "upstream_circuit_open"
    message = "The upstream of route {route} failed again and again, so it is left alone; it did not get the request."
    remedy = "Retry after {seconds} seconds. Operators: see the log for why it failed, and the route's `breaker`."


class UpstreamBusy(UpstreamError):
    status = 503
    code = "upstream_busy"
    message = "The upstream of route {route} has {limit} requests to answer already; it did not get this one."
    remedy = "Retry. Operators: see why the upstream is slow, or raise the route's `max_in_flight`."
