"""What is made of the measurements: medians, spread, what a row is bound by, what is wrong with it, targets. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SPREAD_MOST = 0.25
GENERATOR_MOST = 0.85
FOREIGN_MOST = 0.05
IDLE_BELOW = 0.6

PROXY, POSTGRES, FSYNC = "cpu of the proxy", "PostgreSQL (cpu)", "fsync (commit)"
GENERATOR, UPSTREAM = "load generator", "upstream"
_ELSEWHERE = (POSTGRES, GENERATOR, UPSTREAM)


@dataclass
class Round:
    """One measurement of a row. CPU in microseconds per request; `shares`: of the time that it took, by what it may be
    bound by; `foreign`: the share in which something else had the measured core; `capacity`: requests per second of CPU
    of the busiest process; `yardstick_us`: CPU of the yardstick right before and after.
    """

    cpu_us: float
    postgres_us: float
    generator_us: float
    upstream_us: float
    rps: float
    p50_ms: float
    p99_ms: float
    memory_mb: float
    commits: float = 0
    shares: Mapping[str, float] = field(default_factory=dict)
    foreign: float = 0
    capacity: float = 0
    yardstick_us: float = 0
    problem: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so much of them does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def spread(ratios: Sequence[float]) -> float:
    """How far the highest is from the lowest, as a share of the median."""
    return (max(ratios) - min(ratios)) / statistics.median(ratios)


def bound_by(shares: Mapping[str, float], other_cores: int) -> str:
    """Return what had least time left. All but the measured process share the other cores.

    `shares`: of the time, by the names above. FSYNC is the share in which a commit was waited for.
    """
    elsewhere = sum(shares.get(name, 0) for name in _ELSEWHERE) / other_cores
    alone = max(shares, key=lambda name: shares[name])
    if elsewhere > max(shares.get(PROXY, 0), shares.get(FSYNC, 0)):
        return max(_ELSEWHERE, key=lambda name: shares.get(name, 0))
    return alone


def median_shares(rounds: Sequence[Round]) -> dict[str, float]:
    names = {name for each in rounds for name in each.shares}
    return {name: statistics.median(each.shares.get(name, 0) for each in rounds) for name in sorted(names)}


def notes(rounds: Sequence[Round], ratios: Sequence[float], other_cores: int) -> list[str]:
    """Say why a row is not measured cleanly; nothing where it is."""
    found = sorted({each.problem for each in rounds if each.problem})
    if (wide := spread(ratios)) > SPREAD_MOST:
        found.append(f"ratio spreads over {wide:.0%} of its median")
    shares = median_shares(rounds)
    elsewhere = sum(shares.get(name, 0) for name in _ELSEWHERE)
    if shares.get(GENERATOR, 0) > GENERATOR_MOST:
        found.append(f"load generator {shares[GENERATOR]:.0%} busy")
    elif elsewhere / other_cores > GENERATOR_MOST:
        found.append(f"the other cores are {elsewhere / other_cores:.0%} busy: rate and latency are not the proxy's")
    foreign = statistics.median(each.foreign for each in rounds)
    if foreign > FOREIGN_MOST:
        found.append(f"not alone on its core: {foreign:.0%} were somebody else's")
    elif shares and max(elsewhere / other_cores, *shares.values()) < IDLE_BELOW:
        found.append("nothing is busy: requests wait for one another, or are paced")
    return found


@dataclass(frozen=True)
class Target:
    """A figure, and what it may be at most or, where `least`, at least. None: it was not measured."""

    name: str
    figure: float | None
    limit: float
    least: bool = False

    @property
    def met(self) -> bool | None:
        if self.figure is None:
            return None
        return self.figure >= self.limit if self.least else self.figure <= self.limit

    def document(self) -> dict[str, object]:
        figure = None if self.figure is None else round(self.figure, 3)
        return {
            "name": self.name,
            "figure": figure,
            "at_least" if self.least else "at_most": self.limit,
            "met": self.met,
        }
