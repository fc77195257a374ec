"""The admin listener: health, readiness, metrics. It shows nothing of any card, and changes nothing."""

from __future__ import annotations

from aiohttp import web

from proxy.edge.exchange import Exchange
from proxy.edge.metrics import Metrics
from proxy.errors import MethodNotAllowed, RouteNotFound
from vault.errors import PanlessError
from vault.service import Vault


class Admin:
    """`/healthz`: the process answers. `/readyz`: database and key provider do, too. `/metrics`: Prometheus."""

    def __init__(self, vault: Vault, metrics: Metrics) -> None:
        self._vault = vault
        self._metrics = metrics

    async def handle(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(route="admin")
        match request.raw_path.partition("?")[0]:
            case "/healthz":
                exchange.route = "healthz"
                return web.json_response({"status": "ok"})
            case "/readyz":
                exchange.route = "readyz"
                return await self._ready()
            case "/metrics":
                exchange.route = "metrics"
                return self._rendered()
            case _:
                raise RouteNotFound

    async def _ready(self) -> web.Response:
        try:
            await self._vault.health()
        except PanlessError as error:
            return web.json_response({"status": "unready", "code": error.code, "detail": error.detail}, status=503)
        return web.json_response({"status": "ready"})

    def _rendered(self) -> web.Response:
        statistics = self._vault.statistics
        self._metrics.batches.set(statistics.batches)
        self._metrics.writes.set(statistics.writes)
        checkpoints = self._vault.checkpointing.statistics
        self._metrics.checkpoint_size.set(checkpoints.size)
        self._metrics.checkpoint_at.set(checkpoints.at.timestamp() if checkpoints.at else 0)
        self._metrics.checkpoint_failures.set(checkpoints.failures)
        self._metrics.audit_gaps.set(checkpoints.gaps)
        self._metrics.providers_up.set(self._vault.providers_up)
        return web.Response(body=self._metrics.render(), headers={"Content-Type": self._metrics.content_type})
