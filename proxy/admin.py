"""The admin listener: health, readiness, metrics, the audit log. It shows nothing of any card, and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from proxy.audit_reading import AuditReading
from proxy.edge.exchange import Exchange
from proxy.edge.metrics import Metrics
from proxy.errors import MethodNotAllowed, RouteNotFound
from proxy.serving.answer import Answer, answer_of, json_answer
from proxy.serving.request import Request
from vault.errors import PanlessError
from vault.service import Vault


class Admin:
    """`/healthz`: the process answers. `/readyz`: database and key provider do, too. `/metrics`: Prometheus.

    `/audit/events` is for auditors who have signed in; the others are open. `merged` renders the metrics of all
    workers, where there are several.
    """

    def __init__(
        self,
        vault: Vault,
        metrics: Metrics,
        reading: AuditReading,
        merged: Callable[[], Awaitable[bytes]] | None = None,
    ) -> None:
        self._merged = merged
        self._vault = vault
        self._metrics = metrics
        self._reading = reading

    async def handle(self, request: Request, exchange: Exchange) -> Answer:
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(route="admin")
        match request.target.partition("?")[0]:
            case "/healthz":
                exchange.route = "healthz"
                return json_answer({"status": "ok"})
            case "/readyz":
                exchange.route = "readyz"
                return await self._ready()
            case "/metrics":
                exchange.route = "metrics"
                return await self._rendered()
            case "/audit/events":
                exchange.route = "audit-events"
                return await self._reading.answer(request, exchange)
            case _:
                raise RouteNotFound

    async def _ready(self) -> Answer:
        try:
            await self._vault.health()
        except PanlessError as error:
            return json_answer({"status": "unready", "code": error.code, "detail": error.detail}, status=503)
        return json_answer({"status": "ready"})

    async def _rendered(self) -> Answer:
        if self._merged is not None:
            body = await self._merged()
        else:
            look(self._vault, self._metrics)
            body = self._metrics.render()
        return answer_of(body, self._metrics.content_type)


def look(vault: Vault, metrics: Metrics) -> None:
    """Set the gauges that show what the vault knows."""
    statistics = vault.statistics
    metrics.batches.set(statistics.batches)
    metrics.writes.set(statistics.writes)
    checkpoints = vault.checkpointing.statistics
    metrics.checkpoint_size.set(checkpoints.size)
    metrics.checkpoint_at.set(checkpoints.at.timestamp() if checkpoints.at else 0)
    metrics.checkpoint_failures.set(checkpoints.failures)
    metrics.audit_gaps.set(checkpoints.gaps)
    metrics.providers_up.set(vault.providers_up)
