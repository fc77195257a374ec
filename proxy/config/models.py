"""The model of a whole configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from proxy.config.audit import AuditConfig
from proxy.config.base import Model
from proxy.config.hosted_fields import HostedFieldsConfig
from proxy.config.keys import KeysConfig, MainFileKeys
from proxy.config.listeners import ListenConfig
from proxy.config.policy import PolicyRule, UnusualConfig, VelocityConfig
from proxy.config.routes import InboundConfig, OutboundConfig, check_hosts, check_overlap
from proxy.config.secrets import SecretsConfig, references_in
from proxy.config.values import DatabaseUrl, Seconds
from proxy.config.webhooks import WebhookConfig

MOST_WORKERS = 64


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


class BreakGlassConfig(Model):
    """`enabled`: whether a value can be seen with `panless reveal`; `minutes`: from the request to the showing."""

    enabled: bool = False
    minutes: Annotated[int, Field(ge=1, le=1440)] = 15


class Config(Model):
    """The whole file. `folder` is where it stands: relative paths in it are relative to that.

    `workers`: processes that serve, unless `panless serve --workers` says otherwise.
    """

    file: Path
    data_dir: Path = Path(".panless")
    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS)] = 1
    database: DatabaseConfig = DatabaseConfig()
    keys: KeysConfig = MainFileKeys()
    vault: VaultConfig = VaultConfig()
    limits: LimitsConfig = LimitsConfig()
    secrets: SecretsConfig = SecretsConfig()
    break_glass: BreakGlassConfig = BreakGlassConfig()
    audit: AuditConfig = AuditConfig()
    listen: ListenConfig = ListenConfig()
    fields: HostedFieldsConfig = HostedFieldsConfig()
    inbound: tuple[InboundConfig, ...] = ()
    outbound: tuple[OutboundConfig, ...] = ()
    webhook: tuple[WebhookConfig, ...] = ()
    policy: tuple[PolicyRule, ...] = ()
    velocity: tuple[VelocityConfig, ...] = ()
    unusual: UnusualConfig = UnusualConfig()

    @property
    def folder(self) -> Path:
        return self.file.parent

    def resolve(self, path: Path) -> Path:
        """Return a path of this configuration as an absolute one."""
        return (self.folder / path.expanduser()).absolute()

    @model_validator(mode="after")
    def _check_routes(self) -> Config:
        self.secrets.check(references_in(self))
        names = [route.name for route in (*self.inbound, *self.outbound, *self.webhook)]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two routes are named {min(twice)}")
        for routes in ((*self.inbound, *self.webhook), self.outbound):
            check_overlap(routes)
        fields = (field for route in (*self.inbound, *self.webhook) for field in route.fields)
        if not self.vault.reuse_tokens and any(field.shape.luhn for field in fields):
            raise ValueError("vault.reuse_tokens: without it a shape with luhn could equal a card number")
        check_hosts(self.outbound)
        binds = [each.bind for _, each in self.listen if each is not None]
        binds += [route.bind for route in self.outbound if route.bind is not None]
        if twice := {bind for bind in binds if binds.count(bind) > 1 and not bind.endswith(":0")}:
            raise ValueError(f"two listeners bind {min(twice)}")
        return self

    @model_validator(mode="after")
    def _check_rules(self) -> Config:
        for rules in (self.policy, self.velocity):
            named = [rule.name for rule in rules]
            if twice := {name for name in named if named.count(name) > 1}:
                raise ValueError(f"two rules are named {min(twice)}")
        routes = {route.name for route in (*self.inbound, *self.outbound)}
        gateways = {route.upstream_url.netloc for route in self.outbound}
        ruled = [*((rule.name, rule.routes) for rule in self.policy), *((r.name, r.routes) for r in self.velocity)]
        for name, named_routes in ruled:
            if unknown := named_routes - routes:
                raise ValueError(f"rule {name} names route {min(unknown)}, which there is not")
        for field in (field for route in (*self.inbound, *self.webhook) for field in route.fields):
            strange = {
                *(field.limits.routes or frozenset()) - routes,
                *(field.limits.gateways or frozenset()) - gateways,
            }
            if strange:
                raise ValueError(f"limits of {field.at}: there is no outbound route or upstream {min(strange)}")
        return self
