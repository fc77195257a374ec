"""Alerts: what somebody has to hear of at once: a line of JSON on stderr, and every hook that wants such events.

Hooks are sinks of the audit log with `only`: what they get is the event itself, under a checkpoint.
"""

from __future__ import annotations

import structlog

from proxy.config import Config
from proxy.edge import log
from proxy.sinks.delivery import deliver_now
from vault.upkeep.startup import Database


async def alert(
    config: Config,
    database: Database,
    action: str,
    *,
    operator: str,
    token: str,
    tenant: str,
    reason: str,
    request: str,
) -> None:
    """Tell of one step; what it is about is recorded already.

    Raises AuditSinkFailed if a hook does not take it, and whatever keeps the event from being signed.
    """
    log.configure("WARNING")
    structlog.get_logger().warning(
        "alert", action=action, operator=operator, token=token, tenant=tenant, reason=reason, request=request
    )
    await deliver_now(config, database, action)
