"""The log line of a request: written for each, so made by hand, in the form of all other lines (log.py)."""

from __future__ import annotations

import json
import logging
import time
from functools import lru_cache

import structlog

from proxy.edge.exchange import Exchange
from proxy.edge.output import output

# Names of the configuration, methods and codes: few. Ids need no quoting, they have no signs that do.
_OF_WORKER = ', "worker": {}'
_quoted = lru_cache(maxsize=4096)(json.dumps)


def log_request(exchange: Exchange, method: str, status: int, code: str, seconds: float) -> None:
    """Log how a request ended, at level info. `code` is that of an error, or empty."""
    if not structlog.get_logger().is_enabled_for(logging.INFO):
        return
    now = time.time()
    output.write(
        f'{{"app": {_quoted(exchange.app)}, "code": {_quoted(code or None)}, "event": "request", "level": "info", '
        f'"listener": {_quoted(exchange.listener)}, "method": {_quoted(method)}, "milliseconds": {seconds * 1000:.2f}, '
        f'"request_id": "{exchange.request_id}", "route": {_quoted(exchange.route)}, "status": {status}, '
        f'"timestamp": "{_second(int(now))}.{int(now * 1000) % 1000:03}Z", "values": {_quoted(exchange.values)}'
        f"{_OF_WORKER.format(output.worker) if output.worker is not None else ''}}}"
    )


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
