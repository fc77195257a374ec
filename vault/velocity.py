"""Velocity limits: how many tokens may be revealed in a minute, an hour, a day, by whom and over what. Pure.

A limit makes counts, and the writer adds them up in the statement that records a reveal: what would go over a limit is
not committed, and so not revealed. Windows are fixed ones: a minute, an hour and a day of UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

from vault.frozen import frozen

MINUTE, HOUR, DAY = 60, 3600, 86400
_ORIGIN_BITS = 64
UNUSUAL_RATE, UNUSUAL_LOOK_UPS = "unusual.rate", "unusual.look_ups"


class Then(StrEnum):
    """What is done about too much: refuse until the window ends; until an operator says otherwise; or only tell."""

    THROTTLE = "throttle"
    STOP = "stop"
    REPORT = "report"


class Per(StrEnum):
    """What a limit is for: each application, each route, each token."""

    APP = "app"
    ROUTE = "route"
    TOKEN = "token"  # noqa: S105  # a word


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many tokens in a window of so many seconds. No `apps` or `routes`: of all of them."""

    name: str
    per: Per
    windows: Mapping[int, int]
    then: Then
    apps: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Unusual:
    """What is a break on the unusual. None: not looked at.

    `factor`: an application reveals so many times more in an hour than it does in its usual ones, and at least
    `at_least`; `look_ups`: so many look-ups in a minute found nothing.
    """

    factor: float | None = None
    at_least: int = 100
    rate_then: Then = Then.REPORT
    look_ups: int | None = None
    look_ups_then: Then = Then.THROTTLE


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of a configuration."""

    limits: Sequence[Limit] = ()
    unusual: Unusual = field(default_factory=Unusual)


NO_LIMITS = Limits()


@frozen
class Count:
    """`n` more for a subject (`app:NAME`, `route:NAME`, `token:ID`, ...) in a window, by one rule.

    `most` of them are allowed, or as many as there are (None). What is only `watched` is counted in any case.
    """

    subject: str
    seconds: int
    n: int
    most: int | None
    rule: str
    then: Then
    watched: bool = False

    @property
    def key(self) -> str:
        """What it is counted by: each rule counts for itself."""
        return f"{self.rule}/{self.subject}"

    def began(self, now: datetime) -> datetime:
        """Return when the window of a time began."""
        return datetime.fromtimestamp(int(now.timestamp()) // self.seconds * self.seconds, UTC)

    def ends(self, now: datetime) -> datetime:
        return self.began(now) + timedelta(seconds=self.seconds)

    @property
    def enforced(self) -> bool:
        """Whether what goes over it must not happen."""
        return not self.watched and self.then is not Then.REPORT

    def crossed(self, total: int, n: int) -> bool:
        """Tell whether the last `n` of a total went over it."""
        return self.most is not None and total - n <= self.most < total


def reveal_counts(
    limits: Limits, usual: Mapping[str, float], app: str, route: str, tokens: Sequence[str]
) -> list[Count]:
    """Return what a reveal of tokens counts as. `usual`: by application, how many it reveals in an hour of work."""
    found: list[Count] = []
    for limit in limits.limits:
        if (limit.apps and app not in limit.apps) or (limit.routes and route not in limit.routes):
            continue
        found += _counts(limit, _subjects(limit, app, route, tokens))
    if (factor := limits.unusual.factor) is not None:
        known = usual.get(app)
        most = None if known is None else max(limits.unusual.at_least, int(factor * known))
        found.append(Count(f"app:{app}", HOUR, len(tokens), most, UNUSUAL_RATE, limits.unusual.rate_then))
    return found


@lru_cache(maxsize=10_000)
def origin_subject(origin: str | None) -> str:
    """Return who is counted for an address: of IPv6 its network of 64 bits, which is the least that anybody has."""
    try:
        address = IPv6Address((origin or "").partition("%")[0])
    except ValueError:
        return f"origin:{origin}"
    if address.ipv4_mapped is not None:
        return f"origin:{address.ipv4_mapped}"
    return f"origin:{IPv6Network((address, _ORIGIN_BITS), strict=False)}"


def failure_counts(limits: Limits, subject: str) -> list[Count]:
    """Return what a look-up that found nothing counts as."""
    if (most := limits.unusual.look_ups) is None:
        return []
    return [Count(subject, MINUTE, 1, most, UNUSUAL_LOOK_UPS, limits.unusual.look_ups_then, watched=True)]


def _subjects(limit: Limit, app: str, route: str, tokens: Sequence[str]) -> list[tuple[str, int]]:
    match limit.per:
        case Per.APP:
            return [(f"app:{app}", len(tokens))]
        case Per.ROUTE:
            return [(f"route:{route}", len(tokens))]
        case Per.TOKEN:
            return [(f"token:{token}", tokens.count(token)) for token in sorted(set(tokens))]


def _counts(limit: Limit, subjects: Iterable[tuple[str, int]]) -> list[Count]:
    return [
        Count(subject, seconds, n, most, limit.name, limit.then)
        for subject, n in subjects
        for seconds, most in limit.windows.items()
    ]
