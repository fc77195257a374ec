"""What can go wrong on the way of a request, each with the HTTP status that it is answered with.

A status of 4xx is the caller's to correct, 5xx is not. Nothing was forwarded unless the message says otherwise.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from vault.errors import PanlessError


class ConfigInvalid(PanlessError):
    code = "config_invalid"
    message = "{file}: {key}: {problem}"
    remedy = "Correct the configuration; `panless check --config FILE` tells whether it is right."


class RestartNeeded(PanlessError):
    code = "restart_needed"
    message = "{key} of the configuration cannot change while Panless runs; nothing has changed."
    remedy = "Start Panless again for it, or put the configuration back as it was and send SIGHUP once more."


class AddressUnavailable(PanlessError):
    code = "address_unavailable"
    message = "Listener {listener} cannot bind {bind}: {reason}."
    remedy = "Stop the process that uses the address, or change the listener's `bind`."


class WorkersFailed(PanlessError):
    code = "workers_failed"
    message = "The workers do not run: {reason}."
    remedy = "Read the log lines before this one, then start Panless again; see docs/workers.md."


class NotRunning(PanlessError):
    code = "not_running"
    message = "No Panless that custodians unseal is running on data directory {path}."
    remedy = "Start it with `panless serve`, which says `ready` when it can be unsealed; see provider in [keys]."


class ControlUntrusted(PanlessError):
    code = "control_untrusted"
    message = "The control socket {path} may be somebody else's, so it was not used."
    remedy = "Run this as the account that runs Panless, or as root; let nobody else write to the data directory."


class ControlUnanswered(PanlessError):
    code = "control_unanswered"
    message = "The Panless behind {path} did not answer."
    remedy = "Look at its log, and try again: a share that is given twice counts once."


class ProcessNotHardened(PanlessError):
    code = "process_not_hardened"
    message = "The kernel refused to protect the memory of Panless ({step})."
    remedy = "Allow prctl(2) and setrlimit(2), in the seccomp profile of the container, say."


class RequestError(PanlessError):
    """Base of the errors of the HTTP edge."""

    status: ClassVar[int] = 400


class RequestMalformed(RequestError):
    code = "request_malformed"
    message = "The request is not valid HTTP/1.1."
    remedy = "Check the request line, header names and values, and the framing of the body (RFC 9112)."


class FramingConflict(RequestError):
    code = "framing_conflict"
    message = "The request frames its body in two ways."
    remedy = "Send either Content-Length or Transfer-Encoding: chunked (RFC 9112, section 6.3)."


class HeadTooLarge(RequestError):
    status = 431
    code = "head_too_large"
    message = "The head of the request is larger than {limit} bytes."
    remedy = "Send fewer or shorter headers."


class HeadTimeout(RequestError):
    status = 408
    code = "head_timeout"
    message = "The head of the request did not arrive in time."
    remedy = "Send it as soon as the connection is open."


class TargetInvalid(RequestError):
    code = "target_invalid"
    message = "The request target is not a plain absolute path."
    remedy = "Send a path that begins with one slash and has no dot segments, encoded or not."


class TargetAmbiguous(TargetInvalid):
    code = "target_ambiguous"
    message = "The path is not that of route {route}, but an application may read it as if it were."
    remedy = "Use the route's exact spelling: case, slashes, percent-encoding; operators: or add a route for this one."


class FieldMissing(RequestError):
    status = 422
    code = "field_missing"
    message = "The body has no value at {at}, which route {route} requires."
    remedy = "Send the value where the route expects it; operators: see the route's `fields`."


class RouteNotFound(RequestError):
    status = 404
    code = "route_not_found"
    message = "No route of this listener takes this path."
    remedy = "Check the path and the port against the routes of the configuration."


class MethodNotAllowed(RequestError):
    status = 405
    code = "method_not_allowed"
    message = "Route {route} does not take this method."
    remedy = "Use another method; operators: name it in the route's `methods`."


class FilterInvalid(RequestError):
    code = "filter_invalid"
    message = "The filter {name} of the query cannot be used."
    remedy = "Filters are those of `panless audit list`, each once: times in RFC 3339, limit from 1 to 10000."


class ContentTypeMissing(RequestError):
    status = 415
    code = "content_type_missing"
    message = "The request has a body but no Content-Type."
    remedy = "Send application/json, application/x-www-form-urlencoded, application/xml or multipart/form-data."


class ContentTypeUnsupported(RequestError):
    status = 415
    code = "content_type_unsupported"
    message = "Route {route} cannot read this Content-Type."
    remedy = "Send application/json, application/x-www-form-urlencoded, application/xml or multipart/form-data, once."


class CharsetUnsupported(RequestError):
    status = 415
    code = "charset_unsupported"
    message = "The body's charset is not supported, or is given in two ways."
    remedy = "Send the body in UTF-8."


class ContentEncodingUnsupported(RequestError):
    status = 415
    code = "content_encoding_unsupported"
    message = "Route {route} cannot read a request body in this Content-Encoding."
    remedy = "Send the body as it is, or with gzip or deflate."


class ContentEncodingInvalid(RequestError):
    code = "content_encoding_invalid"
    message = "The body is not what its Content-Encoding says."
    remedy = "Send the body as it is, or whole in gzip or deflate."


class BodyUnsearchable(RequestError):
    code = "body_unsearchable"
    message = "The body cannot be searched for card numbers: it is not what its Content-Encoding says."
    remedy = "Send the body as it is, or whole in gzip or deflate; operators: or set the route's guard to report."


class CardNumberFound(RequestError):
    status = 422
    code = "card_number_found"
    message = "The request on route {route} has what looks like a card number in its {part}, outside its fields."
    remedy = (
        "Send card numbers only where the route has a field. Operators: add a field, an exception (guard_except), or "
        "set the route's guard to tokenize or report."
    )


class KeyMisplaced(RequestError):
    code = "key_misplaced"
    message = "The request on route {route} has a Panless key where it would be sent on."
    remedy = "Send the key in the Panless-Key header, or in a place that the route's `credential` names."


class BodyTooLarge(RequestError):
    status = 413
    code = "body_too_large"
    message = "The body is larger than the {limit} bytes that a route with fields may hold."
    remedy = "Send less, or raise [limits] body_bytes."


class BodyIncomplete(RequestError):
    code = "body_incomplete"
    message = "The request ended before its body was complete."
    remedy = "Send the whole body."


class BodyTimeout(RequestError):
    status = 408
    code = "body_timeout"
    message = "The body did not arrive in time."
    remedy = "Send the body without long pauses."


class ValueGuessed(RequestError):
    status = 403
    code = "value_guessed"
    message = "The request on route {route} holds, beside its tokens, a number that a token may stand for."
    remedy = "Send card numbers as tokens only, and nothing else that begins and ends like one of them."


class ConnectMalformed(RequestError):
    code = "connect_malformed"
    message = "The proxy request is not a valid CONNECT."
    remedy = "Send CONNECT host:port HTTP/1.1, well-formed headers, no body, and nothing more before the answer."


class ConnectRequired(RequestError):
    status = 405
    code = "connect_required"
    message = "This listener is an HTTPS proxy: it takes CONNECT only."
    remedy = "Use it as the proxy for https:// URLs; a base URL belongs to the outbound listener or a route's own port."


class ConnectHostUnknown(RequestError):
    status = 403
    code = "connect_host_unknown"
    message = "No route takes requests for this host and port; nothing was connected."
    remedy = (
        "Use a host that a route names; operators: add it to the route's `hosts`, with its port unless that is 443."
    )


class HostMismatch(RequestError):
    status = 421
    code = "host_mismatch"
    message = "The request's Host is not the host that the tunnel was opened for."
    remedy = "Open a tunnel (CONNECT) of its own for each host, and send its name and port in Host."


class TunnelHandshakeFailed(RequestError):
    """Told to the log only: there is nobody who could be answered."""

    code = "tunnel_handshake_failed"
    message = "The client did not complete the TLS handshake in its tunnel."
    remedy = (
        "Let the client use TLS 1.2 or newer, trust the CA of `panless ca export`, and name the tunnel's host in SNI."
    )


class ShuttingDown(RequestError):
    status = 503
    code = "shutting_down"
    message = "This Panless is stopping."
    remedy = "Retry on a new connection."


class SignatureMissing(RequestError):
    status = 401
    code = "signature_missing"
    message = "The request carries no signature, which its route requires."
    remedy = "Sign the request with the application's secret, in the header and the scheme of the route's `signing`."


class SignatureMalformed(RequestError):
    code = "signature_malformed"
    message = "The request's signature, or what it covers, cannot be read in one way."
    remedy = "Send one well-formed signature, and each header, label, parameter and claim that it uses once."


class SignatureUnsupported(RequestError):
    code = "signature_unsupported"
    message = "The request's signature has an algorithm, a component or an extension that its route does not take."
    remedy = "Sign with HMAC as the route's `signing` says; docs/signing.md lists what signatures may cover."


class SignatureInvalid(RequestError):
    status = 401
    code = "signature_invalid"
    message = "The request's signature is not that of the request which arrived."
    remedy = "Sign method, path and headers as they are sent to Panless, with the secret that `app_secret` names."


class SignatureExpired(RequestError):
    status = 401
    code = "signature_expired"
    message = "The request's signature is too old, not valid yet, or past its end."
    remedy = "Sign each request when it is sent, by a clock that is right; operators: see `max_age`."


class SignatureUncovered(RequestError):
    status = 422
    code = "signature_uncovered"
    message = "The request's signature does not cover its body, in which the route replaces values."
    remedy = "Let the signature cover the body or a SHA-256 or SHA-512 digest of it; operators: see `cover_body`."


class SignatureNotRenewable(RequestError):
    status = 422
    code = "signature_not_renewable"
    message = "The request's signature covers a header that the gateway does not get, so it cannot be signed again."
    remedy = "Leave headers of one connection, Panless-Key, Range and Content-Encoding out of what is signed."


class DigestMismatch(RequestError):
    code = "digest_mismatch"
    message = "A digest in the request is not that of its body."
    remedy = "Compute the digest over the body as it is sent, after any Content-Encoding."


class DigestUnsupported(RequestError):
    code = "digest_unsupported"
    message = "The request has a digest of its body that cannot be computed again, and its body is to be changed."
    remedy = "Send Digest or Content-Digest in SHA-256 or SHA-512, in their registered form, or none."


class FieldsFileNotFound(RequestError):
    status = 404
    code = "fields_file_not_found"
    message = "Hosted fields have no such file; those of this version are under {prefix}/."
    remedy = "Change URL and integrity in the page to what `panless fields sri` prints."


class FieldsRequestInvalid(RequestError):
    code = "fields_request_invalid"
    message = "The request of hosted fields is not as it should be: {problem}."
    remedy = "Let panless.js make it, of the version that this Panless serves; see docs/hosted-fields.md."


Reached = Literal["no", "maybe", "yes"]


class UpstreamError(RequestError):
    """The upstream of the route did not answer as it should.

    `protected`: it honours an idempotency key, as far as is known here.
    `reached`: whether it may have got the request, in this attempt or in an earlier one. The codes of what goes wrong
    before an answer stand in proxy/upstream/errors.py.
    """

    status = 502

    def __init__(self, *, reached: Reached = "yes", **ids: str | int) -> None:
        self.reached: Reached = reached
        self.protected = True
        super().__init__(**ids)


class AnswerUnreadable(UpstreamError):
    code = "answer_unreadable"
    message = "The answer on route {route} cannot be searched for revealed values, so it is withheld."
    remedy = "The upstream got the request. Let it answer without compression, or with gzip or deflate."


class AnswerWithheld(UpstreamError):
    code = "answer_withheld"
    message = "The answer on route {route} could not be searched and made safe ({reason}), so it is withheld."
    remedy = "The upstream got the request: find out what it did, or repeat it with its idempotency key."


class AnswerHoldsCardNumber(UpstreamError):
    code = "answer_holds_card_number"
    message = "The answer on route {route} has what looks like a card number in its {part}, so it is withheld."
    remedy = (
        "The upstream got the request. Operators: add an exception (guard_except), or set the route's guard to "
        "tokenize or report."
    )


class AnswerTooLarge(UpstreamError):
    code = "answer_too_large"
    message = "The answer on route {route} is larger than {limit} bytes and cannot be searched, so it is withheld."
    remedy = "The upstream got the request. Raise [limits] answer_bytes."
