"""Policy: may this principal do this, towards this destination? A decision is a value, never an exception.

Rules:
1. What no rule allows is denied. The first rule that matches decides; a request with values of several kinds is decided
   for each kind, and all have to be allowed.
2. A route that names applications is for them alone, whatever the rules say. Where there are no rules, an outbound
   route is for the applications that it names, and an inbound route without any is for everybody.
3. A Permit is what the vault asks for before it reveals anything. It names the one destination that it is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vault.rules import Action, Rule, version_of

BY_ROUTE = "(the route's apps)"
NO_RULE = "(no rule allows it)"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated application and the tenant whose tokens it may use. No name: whoever reaches a listener."""

    app: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Denial:
    """Not allowed; `code` says why, `rule` and `policy` (its version) by what."""

    principal: Principal
    action: str
    route: str
    destination: str
    code: str
    rule: str | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """Allowed: these tokens may be revealed on this route towards this destination (host and port).

    `certificate` is what the destination has shown (SHA-256, hex), where it is reached over TLS.
    """

    principal: Principal
    action: str
    route: str
    destination: str
    rule: str | None = None
    policy: str | None = None
    certificate: str | None = None

    def refused(self, code: str) -> Denial:
        """Return the denial for a request that had the permit and asked for something impossible."""
        return Denial(self.principal, self.action, self.route, self.destination, code, self.rule, self.policy)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules, first match wins. `version` names them in audit events."""

    rules: Sequence[Rule] = ()
    version: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", version_of(self.rules))

    @property
    def looks_at_kinds(self) -> bool:
        """Whether another decision may be made once the kinds of the values are known, or at another time."""
        return bool(self.rules)

    def decide(self, principal: Principal, action: Action, destination: str) -> Permit | Denial:
        """Decide. With kinds that are not known yet: whether there may be values that are allowed."""
        allowed, rule = self._verdict(principal, action)
        if allowed:
            return Permit(principal, action.name, action.route, destination, rule, self.version)
        return Denial(principal, action.name, action.route, destination, "not_permitted", rule, self.version)

    def _verdict(self, principal: Principal, action: Action) -> tuple[bool, str]:
        if action.apps is not None and principal.app not in action.apps:
            return False, BY_ROUTE
        if not self.rules:
            return action.apps is not None or action.name == "tokenize", BY_ROUTE
        found = list(self._deciding(principal, action))
        if any(rule is None for rule in found):
            return False, NO_RULE
        denying = [rule.name for rule in found if rule is not None and not rule.allows]
        return (False, denying[0]) if denying else (True, ", ".join(dict.fromkeys(r.name for r in found if r)))

    def _deciding(self, principal: Principal, action: Action) -> Iterator[Rule | None]:
        """Yield the rule that decides for each kind; without kinds, the first that is for some of them or for all."""
        if not action.kinds:
            yield next(
                (r for r in self.rules if (r.allows or not r.kinds) and not r.misses(action, principal.app)), None
            )
        for kind in sorted(action.kinds or ()):
            yield next((r for r in self.rules if not r.misses(action, principal.app, kind)), None)


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
