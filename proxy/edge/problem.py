"""Answers of Panless itself: RFC 9457 problem documents, with a stable code."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from proxy.errors import RequestError
from proxy.rewrite.errors import BodyRejected, SelectorsConflict, ValueNotText
from vault import errors

_STATUS: Mapping[type[errors.PanlessError], int] = {
    BodyRejected: 400,
    ValueNotText: 422,
    SelectorsConflict: 500,
    errors.ValueRejected: 422,
    errors.TokenRejected: 422,
    errors.TokenUnknown: 404,
    errors.TokenExpired: 410,
    errors.TokenOfOtherTenant: 403,
    errors.CvcGone: 410,
    errors.Denied: 403,
    errors.AppUnknown: 401,
    errors.AppKeyRevoked: 401,
    errors.StoreError: 503,
    errors.DatabaseFailed: 500,
    errors.KeyUnavailable: 503,
    errors.RecordDoesNotOpen: 500,
}

ERROR_HEADER = "Panless-Error"
REQUEST_ID_HEADER = "X-Request-Id"


def status_of(error: errors.PanlessError) -> int:
    """Return the HTTP status of an error: that of its own class, or of the nearest one above it."""
    if isinstance(error, RequestError):
        return error.status
    return next((_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS), 500)


def problem(error: errors.PanlessError, request_id: str) -> web.Response:
    """Return the problem document of an error."""
    status = status_of(error)
    document = {
        "type": f"urn:panless:problem:{error.code}",
        "title": error.detail,
        "status": status,
        "code": error.code,
        "detail": error.advice,
        "request_id": request_id,
    }
    headers = {ERROR_HEADER: error.code, REQUEST_ID_HEADER: request_id, "Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = "1"
    body = (json.dumps(document, indent=2) + "\n").encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/problem+json")
