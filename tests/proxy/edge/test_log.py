"""What reaches the log, as the lines that come out (promise 5): never input, whatever is handed to the loggers."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from proxy.edge import log
from proxy.edge.output import output
from vault.errors import TokenUnknown
from vault.sensitive import Sensitive

PAN, CANARY, KEY = "4242424242424242", "canary-hunter2-canary", "plk_" + "a" * 58


class Lines(io.StringIO):
    """Everything that was written to stderr; `events` parses it and so checks that every line is JSON."""

    def getvalue(self) -> str:
        output.flush()
        return super().getvalue()

    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    written = Lines()
    root = logging.getLogger()
    before = root.handlers, root.level
    monkeypatch.setattr(sys, "stderr", written)
    log.configure("DEBUG")
    yield written
    root.handlers, root.level = before
    structlog.reset_defaults()


def raising(message: object) -> BaseException:
    local = CANARY
    try:
        raise ValueError(message, local)
    except ValueError as error:
        return error


def chained() -> BaseException:
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as error:
            raise RuntimeError(PAN) from error
    except RuntimeError as error:
        error.add_note(CANARY)
        return error


def grouped() -> BaseException:
    return ExceptionGroup(CANARY, [raising(CANARY), TokenUnknown(token="tok_x")])


@pytest.mark.parametrize("make", [lambda: raising(f"{CANARY} {PAN}"), chained, grouped])
def test_of_an_exception_its_type_and_place_are_logged_and_not_its_message(lines, make):
    error = make()
    structlog.get_logger().error("request_failed", exc_info=error, request_id="req_1")
    logging.getLogger("library").error("it failed", exc_info=error)
    for event in lines.events():
        assert event["error"] == type(error).__qualname__
        assert all("test_log.py:" in frame for frame in event["frames"])
    assert lines.events()[0]["request_id"] == "req_1"
    for value in (CANARY, PAN, "exc_info", "Traceback"):
        assert value not in lines.getvalue()


def test_an_exception_that_is_being_handled_is_logged_in_the_same_way(lines):
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("library").exception("it failed")
    (event,) = lines.events()
    assert (event["error"], event["logger"]) == ("ValueError", "library")
    assert CANARY not in lines.getvalue()


def test_structlogs_exception_method_names_the_exception(lines):
    try:
        raise ValueError(CANARY)
    except ValueError:
        structlog.get_logger().exception("request_failed")
    assert CANARY not in lines.getvalue()
    assert lines.events()[0]["error"] == "ValueError"


def test_arguments_of_libraries_messages_are_not_logged(lines):
    logger = logging.getLogger("library")
    logger.warning("cannot read %s of %r", CANARY, {"pan": PAN})
    logger.warning("cannot read %(name)s", {"name": CANARY})
    logger.warning("extra", extra={"card": CANARY})
    logger.warning("stack", stack_info=True)
    assert all(event["place"].startswith("test_log.py:") for event in lines.events())
    assert CANARY not in lines.getvalue()
    assert PAN not in lines.getvalue()


def test_values_that_look_like_a_card_number_or_a_key_are_masked_wherever_they_stand(lines):
    logger = structlog.get_logger()
    logger.info(f"event {PAN}", value=PAN, nested={"a": [f"x{PAN}y", {PAN: "4242 4242 4242 4242"}]}, key=KEY)
    logger.info("event", header=f"Bearer {KEY}", url=f"https://x/?n={PAN}")
    logging.getLogger(f"library.{PAN}").warning(f"read {PAN} {KEY}")
    text = lines.getvalue()
    assert lines.events()
    assert text.count("[masked]") == 9
    for value in (PAN, "4242 4242", KEY, KEY[:20]):
        assert value not in text


def test_sensitive_values_and_errors_show_nothing(lines):
    structlog.get_logger().info("event", value=Sensitive(CANARY), error=[Sensitive(CANARY)])
    logging.getLogger("library").warning("%s", Sensitive(CANARY))
    assert "<sensitive>" in lines.getvalue()
    assert CANARY not in lines.getvalue()


def test_a_line_is_one_line_whatever_is_in_it(lines):
    structlog.get_logger().info("event", value='a\nb\r\n"c\u2028{"event":"forged"}')
    logging.getLogger("library").warning('a\n{"event": "forged"}')
    assert [event["event"] for event in lines.events()] == ["event", "library"]
    assert lines.getvalue().isascii()


def test_both_sorts_of_lines_have_level_and_time(lines):
    structlog.get_logger().warning("event")
    logging.getLogger("library").warning("message")
    for event in lines.events():
        assert event["level"] == "warning"
        assert event["timestamp"].endswith("Z")


def test_what_is_below_the_level_is_not_written(lines):
    log.configure("WARNING")
    structlog.get_logger().info("event")
    logging.getLogger("library").info("message")
    assert lines.getvalue() == ""


def test_context_that_was_bound_is_masked_too(lines):
    with structlog.contextvars.bound_contextvars(card=PAN):
        structlog.get_logger().info("event")
    assert lines.events()[0]["card"] == "[masked]"


def test_an_exception_as_a_librarys_message_is_not_logged(lines):
    logging.getLogger("library").error(raising(CANARY))
    logging.getLogger("library").error(f"cannot read {CANARY}")
    assert CANARY not in lines.getvalue()


async def test_an_exception_that_nobody_awaited_is_not_logged_with_its_message(lines):
    future = asyncio.get_running_loop().create_future()
    future.set_exception(ValueError(CANARY))
    del future
    gc.collect()
    assert "ValueError" in lines.getvalue()
    assert CANARY not in lines.getvalue()


def test_a_line_with_a_masked_number_is_still_json(lines):
    structlog.get_logger().info("event", nanoseconds=int(PAN))
    assert lines.events()[0]["event"] == "event"
