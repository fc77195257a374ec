"""What goes wrong with a connection to the stand-in gateway: given one by one, or drawn by a seed."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Fault:
    """One connection's fault. `at`: bytes of the request or the answer; `seconds`: a pause, or a Retry-After.

    | kind | the charge is made | what happens |
    |---|---|---|
    | `none` | yes | a good answer |
    | `latency` | yes | a good answer after `seconds` |
    | `refuse` | no | reset as soon as it is accepted: the client may see no connection, or one that breaks |
    | `tls_stall` | no | accepted, and then nothing: no handshake, no byte |
    | `tls_reset` | no | reset in the handshake |
    | `reset_request` | no | reset when `at` bytes of the request were read, or all of it |
    | `hang_before` | no | the request is read, no answer, the connection stays |
    | `hang_after` | yes | `at` bytes of the answer, then nothing, the connection stays |
    | `reset_answer` | yes | `at` bytes of the answer, then a reset |
    | `cut` | yes | `at` bytes of the answer, then a regular end |
    | `drip` | yes | the answer byte by byte, `seconds` between them |
    | `too_long` | yes | Content-Length says more than there is |
    | `too_short` | yes | Content-Length says less than there is |
    | `garbage` | yes | bytes that are not HTTP |
    | `error_before` | no | a `status` |
    | `error_after` | yes | a `status` |
    | `too_many` | no | 429 (or `status`) with Retry-After: `seconds`, or the `date` |
    """

    kind: str = "none"
    at: int = 0
    seconds: float = 0
    status: int = 0
    date: str = ""


GOOD = Fault()
# Before these the gateway has not taken the charge.
UNCHARGED = frozenset({"refuse", "tls_stall", "tls_reset", "reset_request", "hang_before", "error_before", "too_many"})


def drawn(chance: random.Random, share: float = 0.5) -> Fault:
    """Draw a fault, or none with the rest of the share. Pauses are short; what hangs hangs until the client goes."""
    if chance.random() >= share:
        return GOOD
    at, status = chance.randrange(600), chance.choice((500, 502, 503, 504))
    return chance.choice(
        (
            Fault("latency", seconds=chance.random() / 5),
            Fault("refuse"),
            Fault("reset_request", at=at),
            Fault("hang_before"),
            Fault("hang_after", at=at // 2),
            Fault("reset_answer", at=at // 2),
            Fault("cut", at=at // 2),
            Fault("drip", seconds=0.0005),
            Fault("too_long"),
            Fault("too_short"),
            Fault("garbage"),
            Fault("error_before", status=status),
            Fault("error_after", status=status),
            Fault("too_many", seconds=chance.randrange(2)),
        )
    )


class Plan:
    """The faults of the connections to come: first those that were given, then those of the seed, then none."""

    def __init__(self) -> None:
        self._given: deque[Fault] = deque()
        self._always: Fault = GOOD
        self._chance: random.Random | None = None
        self._share = 0.0

    def give(self, faults: Iterable[Fault], *, always: Fault = GOOD) -> None:
        """Let these happen one by one, and after them the last one for ever."""
        self._given, self._always, self._chance = deque(faults), always, None

    def draw(self, seed: int, share: float = 0.5) -> None:
        self._given.clear()
        self._chance, self._share = random.Random(seed), share  # noqa: S311

    def next(self) -> Fault:
        if self._given:
            return self._given.popleft()
        return drawn(self._chance, self._share) if self._chance is not None else self._always

    def read(self, document: dict) -> None:
        """Take over a document: `faults` and `always`, or `seed` and `share`."""
        if "seed" in document:
            self.draw(document["seed"], document.get("share", 0.5))
        else:
            self.give(
                [Fault(**each) for each in document.get("faults", [])], always=Fault(**document.get("always", {}))
            )


def written(faults: Iterable[Fault]) -> list[dict]:
    return [asdict(each) for each in faults]
