"""Logs: JSON lines on stderr, redacted where they are written (output.py).

Rules:
1. Messages of exceptions are never logged: they carry input. What is logged of one is its type and where it was.
2. No local variables, no query strings, no headers, no bodies.
3. What still looks like a PAN, or like an application key, is masked in the finished line.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import structlog

from proxy.edge.output import output

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure(level: str = "INFO") -> None:
    """Send structlog's and the standard library's log to stderr in the same form."""
    output.stream = sys.stderr
    output.level = logging.getLevelName(level)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _of_worker,
        structlog.processors.add_log_level,
        _timestamp,
        _exception_without_message,
    ]
    structlog.configure(
        processors=_rendered(shared),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=lambda *_: output,
        cache_logger_on_first_use=True,
    )
    handler = _Handler()
    handler.setFormatter(_StaticFormatter(shared))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    sys.unraisablehook = _unraisable


def _unraisable(given: Any) -> None:
    """Python itself would print the message and the object: of a TLS callback, that is what the client sent."""
    structlog.get_logger().error("unraisable", exc_info=given.exc_value)


def _of_worker(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say which worker it is, where there are several."""
    if output.worker is not None:
        event["worker"] = output.worker
    return event


def _timestamp(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """RFC 3339 with milliseconds: more digits could be taken for those of a card, and be masked."""
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def _long_numbers_as_text(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Masking a bare number would leave a line that is no JSON."""
    for name, value in event.items():
        if isinstance(value, int | float) and len(str(value)) >= 12:
            event[name] = str(value)
    return event


def _rendered(processors: list[Any]) -> list[Any]:
    return [*processors, _long_numbers_as_text, structlog.processors.JSONRenderer(sort_keys=True)]


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        output.write(self.format(record))


class _StaticFormatter(logging.Formatter):
    """Formats records of libraries: who said something, and where. What they say may be input, even unformatted."""

    def __init__(self, shared: list[Any]) -> None:
        super().__init__()
        self._processors = _rendered(shared)

    def format(self, record: logging.LogRecord) -> str:
        place = f"{record.filename}:{record.lineno} {record.funcName}"
        event: Any = {"event": "library", "logger": record.name, "place": place}
        if record.exc_info and record.exc_info[0]:
            event["exc_info"] = record.exc_info
        for processor in self._processors:
            event = processor(None, record.levelname.lower(), event)
        return str(event)


def _exception_without_message(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given if isinstance(given, BaseException) else None
    if isinstance(given, tuple):
        error = given[1]
    if error is not None:
        event["error"] = type(error).__qualname__
        event["frames"] = [
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__, limit=-8)
        ]
    return event
