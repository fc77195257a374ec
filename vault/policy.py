"""Policy: may this principal do this, towards this destination? A decision is a value, never an exception.

A Permit is what the vault asks for before it reveals anything. It names the one destination that it is for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated application and the tenant whose tokens it may use."""

    app: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Action:
    """What is asked for: revealing tokens on one route, which names the applications that may use it."""

    name: str
    route: str
    apps: frozenset[str]


@dataclass(frozen=True, slots=True)
class Denial:
    """Not allowed; `code` says why."""

    principal: Principal
    action: str
    route: str
    destination: str
    code: str


@dataclass(frozen=True, slots=True)
class Permit:
    """Allowed: these tokens may be revealed on this route towards this destination (host and port)."""

    principal: Principal
    action: str
    route: str
    destination: str

    def refused(self, code: str) -> Denial:
        """Return the denial for a request that had the permit and asked for something impossible."""
        return Denial(self.principal, self.action, self.route, self.destination, code)


def decide(principal: Principal, action: Action, destination: str) -> Permit | Denial:
    """Decide by the route's list of applications. What is not allowed is denied."""
    if principal.app in action.apps:
        return Permit(principal, action.name, action.route, destination)
    return Denial(principal, action.name, action.route, destination, "not_permitted")


@dataclass(frozen=True, slots=True)
class GlassPermit:
    """Allowed once: `operator` may see the value of `token`, because `approver`, another person, agreed.

    It exists only after the event of it is committed.
    """

    request: str
    operator: str
    approver: str
    token: str
    tenant: str
