"""The signature and the digests of a request: checked as it came, made anew for what is sent on."""

from __future__ import annotations

import time
from dataclasses import replace

from multidict import CIMultiDict

from proxy.edge.identity import KEY_HEADER, holds_key
from proxy.edge.intake import Incoming
from proxy.errors import KeyMisplaced, RequestError, SignatureInvalid, SignatureNotRenewable
from proxy.hosts import without_default_port
from proxy.rewrite.fields import KEY_PREFIX
from proxy.rewrite.message import Headers, Message
from proxy.rewrite.plan import Plan
from proxy.rewrite.selectors import Where
from proxy.routes import OutboundRoute
from proxy.serving.request import Request
from proxy.signing import digests
from proxy.signing.scheme import HoldsKey, SignedRequest, header_values


def key_of_signer(request: Request, route: OutboundRoute, headers: CIMultiDict[str], key: str) -> str:
    """Return `key`, or the key id of the signature where that is a Panless key and no other one was given."""
    if route.signing is None or key.startswith(KEY_PREFIX) or KEY_HEADER in headers:
        return key
    try:
        key_id = route.signing.key_id(_came(request, b""))
    except RequestError:
        return key  # `verify` says what is wrong, and to whom
    return key_id if key_id.startswith(KEY_PREFIX) else key


def has_none(request: Request, route: OutboundRoute) -> bool:
    """Tell whether there is neither a signature nor a digest: then nothing is checked, and nothing made anew."""
    return route.signing is None and digests.are_absent([lower for lower, _, _ in request.lines])


def verify(request: Request, route: OutboundRoute, incoming: Incoming) -> None:
    """Raise a RequestError unless the signature, where the route has one, is right and can be made anew."""
    if route.signing is None:
        return
    came = _came(request, incoming.raw)
    covered = route.covers_body and route.protects_body and bool(incoming.raw)
    route.signing.verify(came, time.time(), cover_body=covered)
    renewed(request, route, incoming, incoming.message)


def check_digests(plan: Plan, incoming: Incoming) -> None:
    """Raise a RequestError unless the digests of a body that is to be changed are right and can be made anew."""
    if incoming.raw != plan.message.body or _changes_body(plan):
        digests.check(plan.message.headers, incoming.raw)


def _changes_body(plan: Plan) -> bool:
    return any(plan.sections[match.section].where is Where.BODY for match in plan.matches)


def with_digests(incoming: Incoming, message: Message) -> Message:
    """Return the message with the digests of its own body in the place of those of the body that came."""
    if message.body == incoming.raw:
        return message
    headers = digests.renewed(message.headers, incoming.raw, message.body)
    return message if headers is message.headers else replace(message, headers=headers)


def renewed(request: Request, route: OutboundRoute, incoming: Incoming, message: Message) -> Message:
    """Return the message with its digests and its signature anew; raises a RequestError."""
    message = with_digests(incoming, message)
    if route.signing is None:
        return message
    headers = _sent(request, route, message)
    target = f"{message.path}?{message.query}" if message.query else message.path
    goes = SignedRequest(request.method, route.scheme, target, headers, message.body)
    try:
        signed = route.signing.sign(_came(request, incoming.raw), goes)
    except SignatureInvalid:
        raise SignatureNotRenewable from None
    except HoldsKey:
        raise KeyMisplaced(route=route.name) from None
    if any(holds_key(value) for _, value in signed):
        raise KeyMisplaced(route=route.name)
    return replace(message, headers=signed)


def _came(request: Request, raw: bytes) -> SignedRequest:
    return SignedRequest(request.method, request.client.scheme, request.target, tuple(request.pairs), raw)


def _sent(request: Request, route: OutboundRoute, message: Message) -> Headers:
    """Return the headers with those that the client would add by itself: a signature may cover them."""
    host = without_default_port(route.scheme, route.authority)
    added = [("Host", host)]
    if message.body or "Content-Length" in request.headers:
        added.append(("Content-Length", str(len(message.body))))
    return (*added, *(each for each in message.headers if not header_values((each,), "Content-Length")))
