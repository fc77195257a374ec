"""Rules of a policy: who may do what, with which values, where, when and from where. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from zoneinfo import ZoneInfo

from vault.frozen import frozen

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@frozen
class Action:
    """What is asked for on one route. `apps`: the applications that it is for; None if it names none.

    `kinds` is None while it is not known yet of which kinds the values are; `origin` is the peer's address.
    """

    name: str
    route: str
    apps: frozenset[str] | None
    kinds: frozenset[str] | None = None
    origin: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """Times of a day, in a time zone: from `begin` until before `end`, over midnight where `end` is not after it."""

    begin: time
    end: time
    days: frozenset[str] = frozenset(DAYS)
    zone: str = "UTC"

    def include(self, at: datetime) -> bool:
        """Tell whether an aware time is in them. What goes over midnight belongs to the day that it began on."""
        local = at.astimezone(ZoneInfo(self.zone))
        now, today = local.time(), local.weekday()
        if self.begin < self.end:
            return self.begin <= now < self.end and DAYS[today] in self.days
        if now >= self.begin:
            return DAYS[today] in self.days
        return now < self.end and DAYS[today - 1] in self.days

    def __str__(self) -> str:
        days = ",".join(day for day in DAYS if day in self.days)
        return f"{self.begin:%H:%M}-{self.end:%H:%M} {days} {self.zone}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. What is empty is not looked at: no `apps` means whoever asks."""

    name: str
    allows: bool
    actions: frozenset[str]
    apps: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    hours: Hours | None = None

    def misses(self, action: Action, app: str, kind: str | None = None) -> list[str]:
        """Return why the rule is not about this; it is if the list is empty. Without a kind, kinds do not count."""
        return list(self._misses(action, app, kind))

    def _misses(self, action: Action, app: str, kind: str | None) -> Iterator[str]:
        if action.name not in self.actions:
            yield f"it is for {_names(self.actions)}"
        if self.apps and app not in self.apps:
            yield f"it is for apps {_names(self.apps)}"
        if self.routes and action.route not in self.routes:
            yield f"it is for routes {_names(self.routes)}"
        if self.kinds and kind is not None and kind not in self.kinds:
            yield f"it is for kinds {_names(self.kinds)}"
        if self.networks and not self._is_from(action.origin):
            yield f"it is for networks {_names(map(str, self.networks))}"
        if self.hours is not None and not self.hours.include(action.at or datetime.now(UTC)):
            yield f"it is for {self.hours}"

    def _is_from(self, origin: str | None) -> bool:
        try:
            forms = _forms(ip_address((origin or "").partition("%")[0]))
        except ValueError:
            return not self.allows  # nobody knows: it may be from there
        return any(each in network for each in forms for network in self.networks)


def _forms(address: IPv4Address | IPv6Address) -> Sequence[IPv4Address | IPv6Address]:
    """Return an address in both of the forms that one of IPv4 has."""
    if isinstance(address, IPv4Address):
        return address, IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
    return (address,) if address.ipv4_mapped is None else (address, address.ipv4_mapped)


def version_of(rules: Sequence[Rule]) -> str:
    """Return 16 hex digits that stand for the rules: the same for the same rules, wherever they are read."""
    document = [
        {
            "name": rule.name,
            "allows": rule.allows,
            "actions": sorted(rule.actions),
            "apps": sorted(rule.apps),
            "routes": sorted(rule.routes),
            "kinds": sorted(rule.kinds),
            "networks": [str(each) for each in rule.networks],
            "hours": str(rule.hours) if rule.hours else None,
        }
        for rule in rules
    ]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _names(names: Iterator[str] | frozenset[str]) -> str:
    return ", ".join(sorted(names))
