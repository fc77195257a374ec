"""Handling a request: one exchange, one answer, one log line, whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from proxy.edge.exchange import Exchange
from proxy.edge.listener import Handler
from proxy.edge.metrics import Metrics
from proxy.edge.problem import ERROR_HEADER, problem
from proxy.edge.request_log import log_request
from proxy.errors import ShuttingDown
from vault.errors import PanlessError

Way = Callable[[web.BaseRequest, Exchange], Awaitable[web.StreamResponse]]

log = structlog.get_logger()


class Handling:
    """Makes handlers of ways. Once `stopping`, requests are refused but for those of the admin listener."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.stopping = False

    def handler(self, name: str, way: Way) -> Handler:
        """Return the handler of the listener `name`."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            exchange = Exchange.begin(name, request)
            in_flight = self._metrics.in_flight
            in_flight.inc()
            try:
                answer = await self._answer(request, exchange, way)
            finally:
                in_flight.dec()
            code = answer.headers.get(ERROR_HEADER, "") if isinstance(answer, web.Response) else ""
            self.note(exchange, request.method, answer.status, code)
            return answer

        return handle

    async def _answer(self, request: web.BaseRequest, exchange: Exchange, way: Way) -> web.StreamResponse:
        try:
            if self.stopping and exchange.listener != "admin":
                raise ShuttingDown
            return await way(request, exchange)
        except PanlessError as error:
            refusal = error
        except (ConnectionError, asyncio.CancelledError):
            raise  # the client went away
        except Exception as error:  # answered as internal_error; nothing is forwarded after it
            log.error("request_failed", request_id=exchange.request_id, route=exchange.route, exc_info=error)
            refusal = PanlessError()
        if request.writer.output_size > 0:
            # Part of an answer is out. Only a broken connection tells the client that it is not whole.
            log.warning("answer_broken_off", request_id=exchange.request_id, code=refusal.code)
            raise ConnectionResetError
        answer = problem(refusal, exchange.request_id)
        if self.stopping:
            answer.force_close()
        return answer

    def note(self, exchange: Exchange, method: str, status: int, code: str) -> None:
        """Count and log a request that was answered."""
        seconds = time.perf_counter() - exchange.started
        self._metrics.requests_of(exchange.listener, exchange.route, status, code).inc()
        self._metrics.seconds_of(exchange.listener, exchange.route).observe(seconds)
        if exchange.listener != "admin":
            log_request(exchange, method, status, code, seconds)
