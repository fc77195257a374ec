"""What is recorded of a call to the vault, as audit events."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from vault.audit.event import Event, Outcome
from vault.errors import Denied, PanlessError, RevealsStopped, TokenRejected, VelocityExceeded
from vault.policy import Denial, Permit
from vault.requests import Context
from vault.tokens import Token
from vault.velocity import Count

OWN = Context(request_id="-", route="-", destination="-")
"""What Panless does of itself."""


def event(
    context: Context,
    action: str,
    outcome: Outcome,
    *,
    code: str | None = None,
    app: str | None = None,
    tenant: str | None = None,
    tokens: Sequence[Token] = (),
) -> Event:
    """Return the event of something that happens now."""
    return Event(
        at=datetime.now(UTC),
        action=action,
        outcome=outcome,
        code=code,
        tenant=tenant,
        app=app,
        route=context.route,
        destination=context.destination,
        origin=context.origin,
        request_id=context.request_id,
        tokens=tuple([str(token) for token in tokens]),
    )


def by_operator() -> str:
    """Name the account that runs a command, as the origin of an event."""
    return f"operator {getpass.getuser()}"


def operator_event(action: str, about: str, tenant: str | None = None, at: datetime | None = None) -> Event:
    """Return the event of what an operator's command does now, or did at a time, to what `about` names."""
    at = at or datetime.now(UTC)
    return Event(
        at=at, action=action, outcome=Outcome.PERMITTED, destination=about, tenant=tenant, origin=by_operator()
    )


def reveal_event(context: Context, permit: Permit, tokens: Sequence[Token], error: PanlessError | None = None) -> Event:
    """Return the event of a reveal: where it goes is what the permit says."""
    outcome = Outcome.PERMITTED
    if error is not None:
        outcome = Outcome.DENIED if isinstance(error, TokenRejected | Denied) else Outcome.FAILED
    return Event(
        at=datetime.now(UTC),
        action=permit.action,
        outcome=outcome,
        code=error.code if error else None,
        tenant=permit.principal.tenant,
        app=permit.principal.app,
        route=permit.route,
        destination=permit.destination,
        origin=context.origin,
        request_id=context.request_id,
        tokens=tuple([str(token) for token in tokens]),
        policy=permit.policy,
        rule=str(error.ids["rule"]) if isinstance(error, VelocityExceeded | RevealsStopped) else permit.rule,
        certificate=permit.certificate,
    )


def denial_event(context: Context, denial: Denial) -> Event:
    """Return the event of what policy refused."""
    principal = denial.principal
    refused = event(
        context,
        denial.action,
        Outcome.DENIED,
        code=denial.code,
        app=principal.app or None,
        tenant=principal.tenant or None,
    )
    return replace(refused, policy=denial.policy, rule=denial.rule)


def velocity_event(count: Count) -> Event:
    """Return the event of a limit that was reached now."""
    return Event(
        at=datetime.now(UTC),
        action=f"velocity.{count.then.value}",
        outcome=Outcome.PERMITTED,
        rule=count.rule,
        destination=count.subject,
    )
