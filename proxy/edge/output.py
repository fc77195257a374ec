"""Where log lines go: to stderr, redacted, those of one turn of the event loop in one write.

Redaction is the last thing that happens to a line, and the only place where it happens.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import re
import sys
from collections import deque
from typing import TextIO

from proxy.guard.masking import mask

_APP_KEY = re.compile(r"pl[ko]_[a-z2-7]{8,}", re.ASCII)


def redact(text: str) -> str:
    """Mask what may not be in a log line: what looks like a PAN, or like an application key."""
    return _APP_KEY.sub("[masked]", mask(text))


class Output:
    """Collects lines. What is collected is written at the end of the loop's turn, or at once where no loop runs.

    `level`: what is less important is not written. `worker` is the number of this process, where there are several.
    """

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that will write
        self.stream: TextIO = sys.stderr
        self.worker: int | None = None
        self.level = logging.INFO
        atexit.register(self.flush)

    def write(self, line: str) -> None:
        """Take a line, without its line break, from any thread."""
        self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if loop is not self._loop:
            self._loop = loop
            loop.call_soon(self.flush)

    # The names that structlog calls a logger by.
    debug = info = warning = error = critical = write

    def flush(self) -> None:
        """Write what was collected."""
        self._loop = None
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        if lines:
            self.stream.write(redact("\n".join(lines)) + "\n")
            self.stream.flush()


output = Output()
