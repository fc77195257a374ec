"""One attempt to deliver an event: what is sent, and how it ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import SystemRandom
from uuid import UUID

from proxy.edge.kept import unpack_request
from proxy.errors import RequestError
from proxy.rewrite.message import Message
from proxy.state.webhook_events import PREFIX, Outcome
from proxy.upstream.backoff import full_jitter, retry_after
from proxy.upstream.client import UpstreamClient
from proxy.verifying.standard import signed_headers
from proxy.webhook_routes import Destination
from vault.tokens import type_id

LEAST = 0.5
FIRST_SECONDS = 1.0
MOST_SECONDS = 3600.0
_OK = range(200, 300)
_random = SystemRandom()


def pause(attempts: int, asked: float = 0.0) -> timedelta:
    """Return how long to wait after so many attempts: exponential, with full jitter, up to an hour.

    `asked`: the seconds that the application asked for (Retry-After).
    """
    return timedelta(seconds=max(full_jitter(attempts, FIRST_SECONDS, MOST_SECONDS, _random.random()), LEAST, asked))


def outgoing(message: Message, event: UUID, destination: Destination, now: datetime) -> Message:
    """Return what is sent: to the route's upstream as it is now, signed with its secrets as they are now."""
    sent = replace(message, path=destination.route.upstream_path(message.path))
    if not destination.secrets:
        return sent
    signed = signed_headers(type_id(PREFIX, event), int(now.timestamp()), message.body, destination.secrets)
    replaced = {name for name, _ in signed}
    kept = tuple(each for each in sent.headers if each[0].lower() not in replaced)
    return replace(sent, headers=(*kept, *signed))


async def attempt(
    upstream: UpstreamClient, destination: Destination, event: UUID, data: bytes, now: datetime
) -> tuple[Outcome, float]:
    """Send an event; return how it ended, and the seconds after which the application asked for it again."""
    kept = unpack_request(data)
    try:
        answer = await upstream.send(destination.route, kept.method, outgoing(kept.message, event, destination, now))
    except RequestError as error:
        return Outcome(None, error.code), 0.0
    async with answer:
        asked = min(retry_after(answer.headers.get("Retry-After", ""), now) or 0.0, MOST_SECONDS)
        taken = answer.status in _OK
    return Outcome(answer.status, None if taken else "application_refused"), asked
