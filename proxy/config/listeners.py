"""The models of listeners."""

from __future__ import annotations

from pathlib import Path

from proxy.config.base import Model
from proxy.config.values import Bind


class TlsConfig(Model):
    cert: Path
    key: Path
    client_ca: Path | None = None


class ListenerConfig(Model):
    bind: Bind
    tls: TlsConfig | None = None

    @property
    def host(self) -> str:
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.bind.rpartition(":")[2])


class ListenConfig(Model):
    inbound: ListenerConfig | None = None
    outbound: ListenerConfig | None = None
    forward: ListenerConfig | None = None
    admin: ListenerConfig | None = None
