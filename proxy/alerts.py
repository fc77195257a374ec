"""Alerts: what somebody has to hear of at once. Today a warning on stderr, as a line of JSON like those of `serve`.

Sinks of audit events are connected here: deliver to them in `alert`, now, beside the line.
"""

from __future__ import annotations

import structlog

from proxy.edge import log


async def alert(action: str, *, operator: str, token: str, tenant: str, reason: str, request: str) -> None:
    """Tell of one step; what it is about is recorded already. It raises nothing that would undo the step."""
    log.configure("WARNING")
    structlog.get_logger().warning(
        "alert", action=action, operator=operator, token=token, tenant=tenant, reason=reason, request=request
    )
