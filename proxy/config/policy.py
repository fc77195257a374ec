"""The models of [[policy]], [[velocity]] and [unusual]: who may do what, and how much of it."""

from __future__ import annotations

from datetime import time
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from proxy.config.base import Model
from proxy.config.values import KindName, Name
from vault.rules import DAYS, Hours, Rule
from vault.velocity import DAY, HOUR, MINUTE, Limit, Limits, Per, Then, Unusual

Amount = Annotated[int, Field(ge=1)]
WhatThen = Literal["throttle", "stop", "report"]


def _check_hours(text: str) -> str:
    begin, _, end = text.partition("-")
    try:
        times = time.fromisoformat(begin), time.fromisoformat(end)
    except ValueError:
        times = None
    if times is None or any(each.tzinfo for each in times):
        raise ValueError('hours are written "08:00-18:00"')
    return text


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError
        known = False
    else:
        known = True
    if not known:
        raise ValueError("this machine does not know the time zone; is there a tzdata package? UTC is always known")
    return name


HoursText = Annotated[
    str,
    AfterValidator(_check_hours),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$"}),
]


class PolicyRule(Model):
    """One rule. The first that matches decides; what is left out is not looked at."""

    name: Name
    effect: Literal["allow", "deny"] = "allow"
    actions: Annotated[frozenset[Literal["tokenize", "reveal"]], Field(min_length=1)]
    apps: frozenset[Name] = frozenset()
    routes: frozenset[Name] = frozenset()
    kinds: frozenset[KindName] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    hours: HoursText | None = None
    days: frozenset[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = frozenset()
    timezone: Annotated[str, AfterValidator(_check_zone)] = "UTC"

    def rule(self) -> Rule:
        """Return the rule as it is decided by."""
        when = None
        if self.hours is not None or self.days:
            begin, _, end = (self.hours or "00:00-00:00").partition("-")
            days = frozenset(map(str, self.days)) or frozenset(DAYS)
            when = Hours(time.fromisoformat(begin), time.fromisoformat(end), days, self.timezone)
        actions, allows = frozenset(self.actions), self.effect == "allow"
        return Rule(self.name, allows, actions, self.apps, self.routes, self.kinds, self.networks, when)


class VelocityConfig(Model):
    """At most so many tokens may be revealed in a minute, an hour, a day: `per` application, route or token."""

    name: Name
    per: Literal["app", "route", "token"]
    apps: frozenset[Name] = frozenset()
    routes: frozenset[Name] = frozenset()
    minute: Amount | None = None
    hour: Amount | None = None
    day: Amount | None = None
    then: WhatThen = "throttle"

    @model_validator(mode="after")
    def _check_amounts(self) -> VelocityConfig:
        if self.name.startswith("unusual."):
            raise ValueError("velocity: names that begin with unusual. are taken")
        if not self.windows:
            raise ValueError("velocity: give at least one of minute, hour and day")
        return self

    @property
    def windows(self) -> dict[int, int]:
        given = {MINUTE: self.minute, HOUR: self.hour, DAY: self.day}
        return {seconds: most for seconds, most in given.items() if most is not None}

    def limit(self) -> Limit:
        return Limit(self.name, Per(self.per), self.windows, Then(self.then), self.apps, self.routes)


class RateConfig(Model):
    """More than `factor` times what the application reveals in its usual hours, and more than `at_least`."""

    factor: Annotated[float, Field(gt=1)] = 10
    at_least: Amount = 100
    then: WhatThen = "report"


class RepeatsConfig(Model):
    """One token revealed more than `hour` times in an hour."""

    hour: Amount = 20
    then: WhatThen = "report"


class LookUpsConfig(Model):
    """More than `minute` look-ups in a minute, by one application or from one address, that found nothing."""

    minute: Amount = 20
    then: WhatThen = "throttle"


class UnusualConfig(Model):
    """What is a break on the unusual; what is left out is not looked at."""

    rate: RateConfig | None = None
    token: RepeatsConfig | None = None
    look_ups: LookUpsConfig | None = None


def limits(velocity: tuple[VelocityConfig, ...], unusual: UnusualConfig) -> Limits:
    """Return all limits as the vault takes them."""
    found = [each.limit() for each in velocity]
    if (token := unusual.token) is not None:
        found.append(Limit("unusual.token", Per.TOKEN, {HOUR: token.hour}, Then(token.then)))
    rate, look_ups = unusual.rate, unusual.look_ups
    return Limits(
        found,
        Unusual(
            factor=rate.factor if rate else None,
            at_least=rate.at_least if rate else 0,
            rate_then=Then(rate.then) if rate else Then.REPORT,
            look_ups=look_ups.minute if look_ups else None,
            look_ups_then=Then(look_ups.then) if look_ups else Then.THROTTLE,
        ),
    )
