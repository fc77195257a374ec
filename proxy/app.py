"""The composition root: builds everything once, starts the listeners, stops them in order."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

import structlog

from proxy.admin import Admin, look
from proxy.audit_reading import AuditReading
from proxy.background import Background
from proxy.compiled import Compiled
from proxy.config import Config, ListenerConfig
from proxy.control import Control
from proxy.edge.certificates import Certificates
from proxy.edge.connect import Connect
from proxy.edge.connection import Opening
from proxy.edge.exchange import Exchange
from proxy.edge.listener import Listener, Stoppable, stop_all
from proxy.edge.metrics import Metrics
from proxy.edge.tunnel import ForwardListener
from proxy.errors import ConfigInvalid
from proxy.fetching import fetch
from proxy.forward import Forward
from proxy.handling import Handling, Way
from proxy.reloading import Reloading, digest
from proxy.secrets import Lookup
from proxy.serving.answer import Answer
from proxy.serving.request import Request
from proxy.settings import vault_settings
from proxy.sinks.delivery import Deliveries
from proxy.state.store import State
from proxy.upstream.client import UpstreamClient
from proxy.ways import Ways
from proxy.workers.merging import Families, families
from proxy.workers.place import Place, own_key
from vault.authority import Authority
from vault.errors import KeyProviderUnavailable, StoreError
from vault.requests import Context
from vault.service import Vault
from vault.settings import VaultSettings
from vault.unsealing import Unsealing
from vault.upkeep.authorities import ensure_authority
from vault.upkeep.migrate import check_schema, migrate
from vault.upkeep.startup import Database, ensure_development_kek, open_database

_COLLECTED_AFTER = 20_000  # new objects that are still there

log = structlog.get_logger()


class Panless:
    """One running Panless. `start` returns when every listener accepts; `stop` lets requests in flight end.

    `place`: what a worker is told by its supervisor. It is started in two steps: `open`, then `listen`.
    """

    def __init__(self, config: Config, place: Place | None = None) -> None:
        self._config = config  # what was there at the start: listeners, database, keys
        self._place = place
        self._sha256 = place.sha256 if place is not None else digest(config)
        self._opened = asyncio.Event()  # by custodians
        self._database: Database | None = None
        self._ways: Ways | None = None
        self._reloading: Reloading | None = None
        self._certificates: Certificates | None = None
        self._again: asyncio.Task[None] | None = None
        self._metrics = Metrics()
        self._handling = Handling(self._metrics)
        self._listeners: list[Stoppable] = []
        self._close_database: Callable[[], Awaitable[None]] | None = None
        self._vault: Vault | None = None
        self._authority: Authority | None = None
        self._upstream: UpstreamClient | None = None
        self._control: Control | None = None
        self._deliveries: Deliveries | None = None
        self._background: Background | None = None

    @property
    def urls(self) -> dict[str, str]:
        """The URL of each listener by its name."""
        return {listener.name: listener.url for listener in self._listeners}

    async def start(self) -> None:
        """Start everything; raises a PanlessError, and then nothing is left running."""
        await self.open()
        await self.listen()

    async def open(self) -> None:
        """Start everything but the listeners; raises a PanlessError, and then nothing is left running."""
        await self._or_stop(self._open())

    async def listen(self) -> None:
        """Let every listener accept, and begin to work; raises a PanlessError, and then nothing is left running."""
        await self._or_stop(self._listen_all())

    async def _or_stop(self, step: Coroutine[None, None, None]) -> None:
        try:
            await step
        except BaseException:
            await self.stop()
            raise

    async def _open(self) -> None:
        if not any(listener for _, listener in self._config.listen) and not any(r.bind for r in self._config.outbound):
            raise ConfigInvalid(file=str(self._config.file), key="listen", problem="no listener is configured")
        secrets = await fetch(self._config)
        compiled = Compiled.compile(self._config, secrets)

        def latest() -> Lookup:
            return secrets if self._ways is None else self._ways.compiled.secrets

        settings = vault_settings(self._config, latest)
        self._upstream = UpstreamClient(metrics=self._metrics.upstreams)
        database = self._database = await self._open_database(settings)
        vault = self._vault = await Vault.open(settings, database)
        await self._report(vault)
        self._deliveries = await Deliveries.start(self._config, database, self._metrics, latest)
        self._background = Background(
            vault,
            await State.open(database),
            self._metrics,
            sending=lambda: self._now.notifying_by,
            working=lambda: self._now.working,
        )
        unsealing = Unsealing(vault)
        await unsealing.started()
        if self._config.listen.forward is not None:
            self._certificates = await self._open_authority(settings, database, vault)
        self._apply(compiled)
        await self._listen_control(settings, database, unsealing, vault)
        self._reloading = Reloading(
            lambda: self._now.compiled, self._apply, self._record_change, self._metrics, self._sha256
        )
        if self._place is not None and self._place.restarted:
            await self._unsealed(unsealing)

    async def _unsealed(self, unsealing: Unsealing) -> None:
        """Wait for the custodians: what comes meanwhile is for the other workers, which are open."""
        while unsealing.sealed():
            log.warning("waits_for_custodians")
            self._opened.clear()
            await self._opened.wait()

    async def _listen_all(self) -> None:
        assert self._vault is not None and self._database is not None and self._background is not None  # noqa: S101, PT018
        listen = self._config.listen
        await self._listen("inbound", listen.inbound, self._way(lambda now: now.inbound.handle))
        await self._listen("outbound", listen.outbound, self._way(lambda now: now.outbound.handle))
        await self._listen_forward()
        reading = AuditReading(self._vault.operators, self._database)
        merged = self._place.merged if self._place is not None else None
        await self._listen("admin", listen.admin, Admin(self._vault, self._metrics, reading, merged).handle)
        await self._listen("fields", listen.fields, self._way(lambda now: now.fields.handle))
        for route in self._config.outbound:
            await self._listen(route.name, route.listener, self._own_way(route.name), key=own_key(route.name))
        if self._place is None and self._reloading is not None:
            self._again = asyncio.create_task(self._reloading.run())
        self._background.start()
        _settle()

    def reload(self) -> None:
        """Read configuration and secrets again, aside; what is wrong changes nothing."""
        if self._reloading is not None:
            self._reloading.ask()

    @property
    def reloading(self) -> Reloading:
        """For a supervisor, which lets all workers read again together."""
        assert self._reloading is not None  # noqa: S101  # it was opened
        return self._reloading

    def metrics(self) -> Families:
        """Return the metrics as they stand."""
        if self._vault is not None:
            look(self._vault, self._metrics)
        return families(self._metrics.collect())

    @property
    def _now(self) -> Ways:
        assert self._ways is not None  # noqa: S101  # they are there before any listener is
        return self._ways

    def _apply(self, compiled: Compiled) -> None:
        """Let a configuration take over: for every request that begins from now on."""
        assert self._vault is not None and self._upstream is not None and self._background is not None  # noqa: S101, PT018
        self._vault.limit(compiled.limits)
        self._ways = Ways(
            compiled,
            self._vault,
            self._upstream,
            self._metrics,
            background=self._background,
            certificates=self._certificates,
        )

    def _own_way(self, name: str) -> Way:
        return self._way(lambda now: now.own(name))

    def _way(self, of: Callable[[Ways], Way]) -> Way:
        """Return a way that is looked up for each request, among those that are in force then."""

        def way(request: Request, exchange: Exchange) -> Awaitable[Answer]:
            return of(self._now)(request, exchange)

        return way

    async def _record_change(self, action: str, *, reason: str | None = None, refusal: str | None = None) -> None:
        if self._vault is not None:
            await self._vault.record(action, _own_context(), reason=reason, refusal=refusal)

    async def _report(self, vault: Vault) -> None:
        """Record the start, also of a Panless whose key provider does not answer yet."""
        try:
            await vault.health()
        except KeyProviderUnavailable as error:
            log.warning("started_without_keys", code=error.code)
        await vault.record("start", _own_context(f"configuration {self._sha256}"))

    async def _listen_control(
        self, settings: VaultSettings, database: Database, unsealing: Unsealing, vault: Vault
    ) -> None:
        async def unsealed() -> None:
            self._opened.set()
            await vault.show()  # whoever rotates keys next looks at what each process can open
            if settings.embedded and self._authority is not None:
                await ensure_authority(vault.keks, database)

        if unsealing.offered:
            self._control = Control(settings.data_dir, unsealing, unsealed)
            await self._control.start()

    async def _open_database(self, settings: VaultSettings) -> Database:
        database = await open_database(settings, holder="serve" if self._place is None else "worker")
        self._close_database = database.close
        if settings.embedded:
            await migrate(database)
        await check_schema(database)
        await ensure_development_kek(settings, database)
        return database

    async def _listen(self, name: str, config: ListenerConfig | None, way: Way, key: str | None = None) -> None:
        if config is None:
            return
        server, shared = self._handling.server(name, way), self._shared(key or name)
        await self._begin(Listener(name, config, self._config, server, shared))

    def _shared(self, key: str) -> int | None:
        return self._place.ports[key] if self._place is not None else None

    async def _open_authority(self, settings: VaultSettings, database: Database, vault: Vault) -> Certificates:
        if settings.embedded:
            with suppress(KeyProviderUnavailable):  # it is made when the vault is unsealed
                await ensure_authority(vault.keks, database)
        self._authority = await Authority.open(vault.keks, database)
        return Certificates(self._authority.leaf)

    async def _listen_forward(self) -> None:
        config = self._config.listen.forward
        if config is None:
            return

        async def opens(connect: Connect, exchange: Exchange) -> Opening:
            return await self._forward.opens(connect, exchange)

        async def way(request: Request, exchange: Exchange) -> Answer:
            return await self._forward.handle(request, exchange)

        server, shared = self._handling.server("forward", way), self._shared("forward")
        await self._begin(ForwardListener(config, self._config, server, opens, self._handling.note, shared=shared))

    @property
    def _forward(self) -> Forward:
        assert self._now.forward is not None  # noqa: S101  # there is a forward listener
        return self._now.forward

    async def _begin(self, listener: Stoppable) -> None:
        self._listeners.append(listener)
        await listener.start()

    async def stop(self) -> None:
        """Refuse new requests, finish those in flight, then close everything. Safe to call at any time."""
        self._handling.stopping = True
        log.info("stopping")
        if self._control is not None:
            await self._control.stop()
        await stop_all(self._listeners)
        if self._again is not None:
            self._again.cancel()
        if self._background is not None:
            await self._background.stop(self._config.limits.stop_seconds)
        if self._upstream is not None:
            await self._upstream.close()
        if self._vault is not None:
            try:
                if self._listeners:
                    await self._vault.record("stop", _own_context())
            except StoreError as error:
                log.warning("stop_not_recorded", code=error.code)
            await self._vault.close()
        if self._deliveries is not None:
            await self._deliveries.stop()
        if self._authority is not None:
            await self._authority.close()
        if self._close_database is not None:
            await self._close_database()
        self._listeners, self._vault, self._upstream, self._close_database = [], None, None, None
        self._authority, self._deliveries, self._background = None, None, None
        log.info("stopped")


def _settle() -> None:
    """Let the garbage collector pass over what was made once: it would look at all of it again and again.

    Requests leave few cycles behind; a look after so many of them is enough.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, 20, 50)


def _own_context(about: str = "-") -> Context:
    return Context(request_id="-", route="-", destination=about)
