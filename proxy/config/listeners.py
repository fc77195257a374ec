"""The models of listeners."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from proxy.config.base import Model
from proxy.config.values import Bind, Network, Origin


class TlsConfig(Model):
    """`client_certs`: whether clients have to show a certificate of `client_ca`, or may."""

    cert: Path
    key: Path
    client_ca: Path | None = None
    client_certs: Literal["required", "optional"] = "required"

    @model_validator(mode="after")
    def _needs_authority(self) -> TlsConfig:
        if self.client_certs == "optional" and self.client_ca is None:
            raise ValueError("client_certs: there is no client_ca to verify them with")
        return self


class ListenerConfig(Model):
    bind: Bind
    tls: TlsConfig | None = None

    @property
    def host(self) -> str:
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.bind.rpartition(":")[2])


class FieldsListenerConfig(ListenerConfig):
    """`url` is how browsers reach it, where that is not its own address. Of a request that comes from one of the
    `trusted_proxies`, the client is who X-Forwarded-For says.
    """

    url: Origin | None = None
    trusted_proxies: tuple[Network, ...] = ()


class ListenConfig(Model):
    inbound: ListenerConfig | None = None
    outbound: ListenerConfig | None = None
    forward: ListenerConfig | None = None
    admin: ListenerConfig | None = None
    fields: FieldsListenerConfig | None = None
