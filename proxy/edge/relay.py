"""Answers on their way to the client: with the id of their request."""

from __future__ import annotations

from proxy.edge.exchange import Exchange
from proxy.edge.problem import REQUEST_ID_HEADER
from proxy.serving.answer import Answer
from proxy.serving.request import Request


async def relay(request: Request, exchange: Exchange, answer: Answer) -> Answer:
    """Send an answer, and return it. A body that breaks off breaks the connection: nothing is made to look whole."""
    answer.headers.setdefault(REQUEST_ID_HEADER, exchange.request_id)
    await request.client.send(request, answer)
    return answer
