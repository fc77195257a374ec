"""Handling a request: one exchange, one answer, one log line, whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from proxy.edge.exchange import Exchange, new_request_id
from proxy.edge.metrics import Metrics
from proxy.edge.problem import problem
from proxy.edge.relay import relay
from proxy.edge.request_log import log_request
from proxy.errors import RequestError, ShuttingDown
from proxy.serving.answer import Answer
from proxy.serving.connection import Handler
from proxy.serving.request import Request
from proxy.serving.server import Server
from vault.errors import PanlessError

Way = Callable[[Request, Exchange], Awaitable[Answer]]
"""Returns what the client got or, where nothing was sent yet, gets."""

# As nginx counts requests that were not answered, or not to the end.
CLOSED = 499
CLIENT_GONE = "client_gone"

log = structlog.get_logger()


class BrokenOff(ConnectionResetError):
    """An answer that cannot be made whole any more, with the code of what went wrong."""

    def __init__(self, code: str) -> None:
        self.code = code


class Handling:
    """Makes servers of ways. Once `stopping`, requests are refused but for those of the admin listener."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.stopping = False

    def _handler(self, name: str, way: Way) -> Handler:
        async def handle(request: Request) -> None:
            exchange = Exchange.begin(name, request)
            self._metrics.in_flight += 1
            try:
                answer = await self._answer(request, exchange, way)
            except (ConnectionError, asyncio.CancelledError) as error:
                code = error.code if isinstance(error, BrokenOff) else CLIENT_GONE
                self.note(exchange, request.method, CLOSED, code)
                raise
            finally:
                self._metrics.in_flight -= 1
            self.note(exchange, request.method, answer.status, answer.code)

        return handle

    async def _answer(self, request: Request, exchange: Exchange, way: Way) -> Answer:
        try:
            if self.stopping and exchange.listener != "admin":
                raise ShuttingDown
            answer = await way(request, exchange)
            return answer if request.answered else await relay(request, exchange, answer)
        except PanlessError as error:
            refusal = error
        except (ConnectionError, asyncio.CancelledError):
            raise  # the client went away
        except Exception as error:  # answered as internal_error; nothing is forwarded after it
            log.error("request_failed", request_id=exchange.request_id, route=exchange.route, exc_info=error)
            refusal = PanlessError()
        if request.answered:
            # Part of an answer is out. Only a broken connection tells the client that it is not whole.
            log.warning("answer_broken_off", request_id=exchange.request_id, code=refusal.code)
            raise BrokenOff(refusal.code)
        answer = problem(refusal, exchange.request_id)
        if self.stopping:
            answer.closes = True
        return await relay(request, exchange, answer)

    def server(self, name: str, way: Way) -> Server:
        """Return the server of the listener `name`."""
        return Server(self._handler(name, way), self._refusing(name))

    def _refusing(self, name: str) -> Callable[[RequestError], Answer]:
        def refuse(error: RequestError) -> Answer:
            exchange = Exchange(name, new_request_id(), None)
            answer = problem(error, exchange.request_id)
            self.note(exchange, "-", answer.status, answer.code)
            return answer

        return refuse

    def note(self, exchange: Exchange, method: str, status: int, code: str) -> None:
        """Count and log how a request ended."""
        seconds = time.perf_counter() - exchange.started
        self._metrics.requests.count(exchange.listener, exchange.route, status, code)
        self._metrics.seconds.observe(seconds, exchange.listener, exchange.route)
        if exchange.listener != "admin":
            log_request(exchange, method, status, code, seconds)
