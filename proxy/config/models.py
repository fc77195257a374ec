"""The model of a whole configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from proxy.config.audit import AuditConfig
from proxy.config.base import Model
from proxy.config.keys import KeysConfig, MainFileKeys
from proxy.config.listeners import ListenConfig
from proxy.config.routes import InboundConfig, OutboundConfig, check_hosts, check_overlap
from proxy.config.values import DatabaseUrl, Seconds


class DatabaseConfig(Model):
    """`url` connects as the proxy; `owner_url` and `auditor_url` where those have users of their own."""

    url: DatabaseUrl | None = None
    owner_url: DatabaseUrl | None = None
    auditor_url: DatabaseUrl | None = None
    statement_cache: bool = True

    @model_validator(mode="after")
    def _needs_url(self) -> DatabaseConfig:
        if self.url is None and (self.owner_url or self.auditor_url):
            raise ValueError("owner_url and auditor_url need url")
        return self


class VaultConfig(Model):
    """`reuse_tokens`: the same PAN of the same tenant gives the same token."""

    reuse_tokens: bool = True
    cvc_seconds: Seconds = 3600
    cvc_attempts: Annotated[int, Field(ge=1, le=1000)] = 10


class LimitsConfig(Model):
    """Bytes that one request may hold in memory, and seconds that things may take."""

    body_bytes: Annotated[int, Field(ge=1024)] = 10 * 2**20
    answer_bytes: Annotated[int, Field(ge=1024)] = 10 * 2**20
    body_seconds: Seconds = 30
    stop_seconds: Seconds = 30


class Config(Model):
    """The whole file. `folder` is where it stands: relative paths in it are relative to that."""

    file: Path
    data_dir: Path = Path(".panless")
    database: DatabaseConfig = DatabaseConfig()
    keys: KeysConfig = MainFileKeys()
    vault: VaultConfig = VaultConfig()
    limits: LimitsConfig = LimitsConfig()
    audit: AuditConfig = AuditConfig()
    listen: ListenConfig = ListenConfig()
    inbound: tuple[InboundConfig, ...] = ()
    outbound: tuple[OutboundConfig, ...] = ()

    @property
    def folder(self) -> Path:
        return self.file.parent

    def resolve(self, path: Path) -> Path:
        """Return a path of this configuration as an absolute one."""
        return (self.folder / path.expanduser()).absolute()

    @model_validator(mode="after")
    def _check_routes(self) -> Config:
        names = [route.name for route in (*self.inbound, *self.outbound)]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two routes are named {min(twice)}")
        for routes in (self.inbound, self.outbound):
            check_overlap(routes)
        fields = (field for route in self.inbound for field in route.fields)
        if not self.vault.reuse_tokens and any(field.shape.luhn for field in fields):
            raise ValueError("vault.reuse_tokens: without it a shape with luhn could equal a card number")
        check_hosts(self.outbound)
        binds = [each.bind for _, each in self.listen if each is not None]
        binds += [route.bind for route in self.outbound if route.bind is not None]
        if twice := {bind for bind in binds if binds.count(bind) > 1 and not bind.endswith(":0")}:
            raise ValueError(f"two listeners bind {min(twice)}")
        return self
