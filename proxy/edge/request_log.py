"""The log line of a request: written for each, so made by hand, in the form of all other lines (log.py)."""

from __future__ import annotations

import json
import logging
import time
from functools import lru_cache

from proxy.edge.exchange import Exchange
from proxy.edge.output import output

_OF_WORKER = ', "worker": {}'


def log_request(exchange: Exchange, method: str, status: int, code: str, seconds: float) -> None:
    """Log how a request ended, at level info. `code` is that of an error, or empty."""
    if output.level > logging.INFO:
        return
    now = time.time()
    values = "null" if exchange.values is None else exchange.values
    output.write(
        f"{_before_time(exchange.app, code, exchange.listener, method)}{seconds * 1000:.2f}, "
        f'"request_id": "{exchange.request_id}"{_before_end(exchange.route, status)}{_second(int(now))}.'
        f'{int(now * 1000) % 1000:03}Z", "values": {values}'
        f"{_OF_WORKER.format(output.worker) if output.worker is not None else ''}}}"
    )


# Names of the configuration, methods and codes: few. Ids need no quoting, they have no signs that do.


@lru_cache(maxsize=4096)
def _before_time(app: str | None, code: str, listener: str, method: str) -> str:
    named = {"app": app, "code": code or None, "event": "request", "level": "info", "listener": listener}
    return f'{json.dumps({**named, "method": method})[:-1]}, "milliseconds": '


@lru_cache(maxsize=4096)
def _before_end(route: str, status: int) -> str:
    return f', {json.dumps({"route": route, "status": status})[1:-1]}, "timestamp": "'


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
