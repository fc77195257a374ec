"""What was refused a moment ago and will be refused again: sessions that are spent, and addresses that have to wait.

It is kept in memory, so that who repeats it neither writes anything nor breaks up the commit of others. The database
has the last word: what is not remembered here is refused there.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from uuid import UUID

from vault.errors import FieldSessionEnded, VelocityExceeded

MOST = 50_000
LONGEST = timedelta(minutes=1)  # a limit may be raised meanwhile


class Recent:
    """The newest of them, in one process."""

    def __init__(self) -> None:
        self._spent: OrderedDict[UUID, None] = OrderedDict()
        self._waiting: OrderedDict[str, datetime] = OrderedDict()

    def check(self, session: UUID, subject: str) -> None:
        """Raise FieldSessionEnded, or VelocityExceeded if who is counted as `subject` has to wait."""
        if session in self._spent:
            raise FieldSessionEnded
        until = self._waiting.get(subject)
        if until is None:
            return
        if (wait := (until - datetime.now(UTC)).total_seconds()) > 0:
            raise VelocityExceeded(seconds=math.ceil(wait), rule="-", subject=subject)
        del self._waiting[subject]

    def spent(self, session: UUID) -> None:
        self._spent[session] = None
        if len(self._spent) > MOST:
            self._spent.popitem(last=False)

    def wait(self, subject: str, time: timedelta) -> None:
        self._waiting[subject] = datetime.now(UTC) + min(time, LONGEST)
        if len(self._waiting) > MOST:
            self._waiting.popitem(last=False)
