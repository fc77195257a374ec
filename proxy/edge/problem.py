"""Answers of Panless itself: RFC 9457 problem documents, with a stable code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from proxy.edge.retry import retry
from proxy.errors import RequestError, UpstreamError
from proxy.rewrite.errors import BodyRejected, CustomerInvalid, SelectorsConflict, SequenceInvalid, ValueNotText
from proxy.serving.answer import Answer, answer_of
from vault import errors

_STATUS: Mapping[type[errors.PanlessError], int] = {
    BodyRejected: 400,
    CustomerInvalid: 422,
    SequenceInvalid: 422,
    ValueNotText: 422,
    SelectorsConflict: 500,
    errors.ValueRejected: 422,
    errors.TokenRejected: 422,
    errors.TokenUnknown: 404,
    errors.TokenExpired: 410,
    errors.TokenOfOtherTenant: 403,
    errors.TokenErased: 410,
    errors.TokenNotForRoute: 403,
    errors.CvcGone: 410,
    errors.Denied: 403,
    errors.VelocityExceeded: 429,
    errors.AppUnknown: 401,
    errors.AppKeyRevoked: 401,
    errors.AppKeyExpired: 401,
    errors.OperatorUnknown: 401,
    errors.OperatorKeyRevoked: 401,
    errors.OperatorKeyExpired: 401,
    errors.StoreError: 503,
    errors.DatabaseFailed: 500,
    errors.KeyUnavailable: 503,
    errors.KeyCompromised: 503,
    errors.KeyDestroyed: 410,
    errors.AuthorityMissing: 503,
    errors.RecordDoesNotOpen: 500,
}

ERROR_HEADER = "Panless-Error"
REQUEST_ID_HEADER = "X-Request-Id"


def status_of(error: errors.PanlessError) -> int:
    """Return the HTTP status of an error: that of its own class, or of the nearest one above it."""
    if isinstance(error, RequestError):
        return error.status
    return next((_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS), 500)


def problem(error: errors.PanlessError, request_id: str) -> Answer:
    """Return the problem document of an error."""
    status = status_of(error)
    document: dict[str, str | int] = {
        "type": f"urn:panless:problem:{error.code}",
        "title": error.detail,
        "status": status,
        "code": error.code,
        "detail": error.advice,
        "request_id": request_id,
        "retry": retry(error, status).value,
    }
    if "at" in error.ids:
        document["at"] = error.ids["at"]
    if isinstance(error, UpstreamError):
        document["reached_upstream"] = error.reached
    headers = {
        ERROR_HEADER: error.code,
        REQUEST_ID_HEADER: request_id,
        "Cache-Control": "no-store",
    }
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        headers["Retry-After"] = str(error.ids.get("seconds", 1))
    body = json.dumps(document, indent=2) + "\n"
    answer = answer_of(body, "application/problem+json", headers, status=status)
    answer.code = error.code
    return answer


def raw_problem(error: errors.PanlessError, request_id: str, *, stays: bool) -> tuple[int, bytes]:
    """Return status and bytes of the answer to a refused CONNECT. A key that is not right is asked for again: 407."""
    answer = problem(error, request_id)
    status, headers = answer.status, answer.headers
    if status == 401:
        status = 407
        headers.popall("WWW-Authenticate")
        headers["Proxy-Authenticate"] = 'Basic realm="panless"'
    if status == 405:
        headers["Allow"] = "CONNECT"
    body = answer.body if isinstance(answer.body, bytes) else b""
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "keep-alive" if stays else "close"
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return status, "\r\n".join([*lines, "", ""]).encode("ascii") + body
