"""What every error has."""

from __future__ import annotations

from typing import ClassVar


class PanlessError(Exception):
    """Base of every error that Panless raises on purpose.

    `code` is stable and machine-readable; `message` is a template filled with the ids given to the constructor;
    `remedy` says what the reader can do next.
    """

    code: ClassVar[str] = "internal_error"
    message: ClassVar[str] = "Panless could not complete the request."
    remedy: ClassVar[str] = "Look up the request id in the log of Panless."

    def __init__(self, **ids: str | int) -> None:
        self.ids = ids
        super().__init__(f"{self.code}: {self.detail}")

    @property
    def detail(self) -> str:
        """The message with its ids filled in."""
        return self.message.format_map(self.ids)

    @property
    def advice(self) -> str:
        """The remedy with the ids filled in."""
        return self.remedy.format_map(self.ids)
