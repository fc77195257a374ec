"""The models of a configuration: frozen, and what they do not know is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proxy.config.signing import SigningConfig
from proxy.config.values import (
    Bind,
    DatabaseUrl,
    ForwardHost,
    KindName,
    Name,
    RoutePath,
    Seconds,
    SecretReference,
    SelectorText,
    Slot,
    Upstream,
    is_loopback,
)
from vault.kinds import KINDS, PAN, Storage


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class DatabaseConfig(_Model):
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


class KeysConfig(_Model):
    provider: Literal["file"] = "file"
    path: Path | None = None
    cache_seconds: Seconds = 600


class VaultConfig(_Model):
    """`reuse_tokens`: the same PAN of the same tenant gives the same token."""

    reuse_tokens: bool = True
    cvc_seconds: Seconds = 3600
    cvc_attempts: Annotated[int, Field(ge=1, le=1000)] = 10


class LimitsConfig(_Model):
    """Bytes that one request may hold in memory, and seconds that things may take."""

    body_bytes: Annotated[int, Field(ge=1024)] = 10 * 2**20
    answer_bytes: Annotated[int, Field(ge=1024)] = 10 * 2**20
    body_seconds: Seconds = 30
    stop_seconds: Seconds = 30


class TlsConfig(_Model):
    cert: Path
    key: Path
    client_ca: Path | None = None


class ListenerConfig(_Model):
    bind: Bind
    tls: TlsConfig | None = None

    @property
    def host(self) -> str:
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.bind.rpartition(":")[2])


class ListenConfig(_Model):
    inbound: ListenerConfig | None = None
    outbound: ListenerConfig | None = None
    forward: ListenerConfig | None = None
    admin: ListenerConfig | None = None


class ShapeConfig(_Model):
    """How a card-shaped token looks: of the card's digits it keeps the first six and the last four, or not.

    `luhn`: whether its check digit is right. A wrong one keeps a token from being taken for a card number.
    """

    max_length: Annotated[int, Field(ge=13, le=19)] = 19
    keep_bin: bool = False
    keep_last4: bool = True
    luhn: bool = False


class FieldConfig(_Model):
    """`at` selects, `kind` says what stands there, `of` names the card that a CVC belongs to.

    A message without a `required` field is refused. `number`: in JSON, what takes the place is written as a number
    where it can be one.
    """

    at: SelectorText
    kind: KindName
    of: SelectorText | None = None
    required: bool = False
    number: bool = False
    token: Literal["opaque", "card"] = "opaque"  # noqa: S105  # a format, not a secret
    shape: ShapeConfig = ShapeConfig()

    @model_validator(mode="after")
    def _check_token(self) -> FieldConfig:
        kind = KINDS[self.kind]
        if self.token == "card" and not (kind.card or (kind.storage is Storage.LEASE and self.of is not None)):  # noqa: S105
            raise ValueError("token: card-shaped ones are for card numbers, and for a cvc with `of`")
        if self.shape.luhn and kind is not PAN:
            raise ValueError("shape: luhn is for a pan")
        if self.token != "card" and self.shape != ShapeConfig():  # noqa: S105
            raise ValueError('shape: it needs token = "card"')
        return self


class TimeoutConfig(_Model):
    connect: Seconds = 5
    between_bytes: Seconds = 60
    whole: Seconds = 120


class RouteConfig(_Model):
    name: Name
    path: RoutePath
    methods: Annotated[frozenset[Annotated[str, Field(pattern=r"^[A-Z]+$")]], Field(min_length=1)] | None = None
    upstream: Upstream
    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    plain_http: bool = False
    timeouts: TimeoutConfig = TimeoutConfig()
    fields: tuple[FieldConfig, ...] = ()
    guard: Literal["refuse", "tokenize", "report"] = "refuse"
    guard_except: tuple[SelectorText, ...] = ()

    @property
    def upstream_url(self) -> SplitResult:
        return urlsplit(self.upstream)

    @model_validator(mode="after")
    def _check(self) -> RouteConfig:
        cards = {field.at for field in self.fields if field.kind == "pan"}
        for field in self.fields:
            if field.of is not None and (field.kind != "cvc" or field.of not in cards):
                raise ValueError(f"fields: `of` is for a cvc and names the `at` of its pan, which {field.of} is not")
        if self.upstream_url.scheme == "http" and not self.plain_http and not is_loopback(self.upstream_url):
            raise ValueError("upstream: plain http is only for loopback; use https or set plain_http = true")
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("client_cert and client_key go together")
        return self


class InboundConfig(RouteConfig):
    tenant: Name = "default"


class CredentialConfig(_Model):
    """`slots`: where the SDK puts the gateway's credential; `secret`: what goes there on the way out.

    `always`: also over what an application put there that is no Panless key.
    """

    slots: Annotated[tuple[Slot, ...], Field(min_length=1)] = ("bearer",)
    secret: SecretReference | None = None
    always: bool = False

    @model_validator(mode="after")
    def _needs_secret(self) -> CredentialConfig:
        if self.secret is None and any(slot.startswith(("$", "query:")) for slot in self.slots):
            raise ValueError("slots: a Panless key in the query or the body needs a `secret` to take its place")
        return self


class OutboundConfig(RouteConfig):
    """Reached by `path` on the outbound listener, on a port of its own (`bind`), or as `hosts` of the forward proxy."""

    path: RoutePath = ""
    bind: Bind | None = None
    tls: TlsConfig | None = None
    hosts: tuple[ForwardHost, ...] = ()
    preset: str | None = None
    apps: frozenset[Name] = frozenset()
    credential: CredentialConfig | None = None
    idempotency_header: str | None = None
    signing: SigningConfig | None = None

    @property
    def listener(self) -> ListenerConfig | None:
        """The route's own port, if it has one."""
        return ListenerConfig(bind=self.bind, tls=self.tls) if self.bind is not None else None

    @model_validator(mode="after")
    def _check_ways(self) -> OutboundConfig:
        if not (self.path or self.bind or self.hosts):
            raise ValueError("an outbound route needs a path, a bind or hosts")
        if self.tls is not None and self.bind is None:
            raise ValueError("tls is for a route with a port of its own: it needs bind")
        if self.bind is not None and self.name in ListenConfig.model_fields:
            raise ValueError(f"a route with a port of its own cannot be named {self.name}: that is a listener")
        return self


class Config(_Model):
    """The whole file. `folder` is where it stands: relative paths in it are relative to that."""

    file: Path
    data_dir: Path = Path(".panless")
    database: DatabaseConfig = DatabaseConfig()
    keys: KeysConfig = KeysConfig()
    vault: VaultConfig = VaultConfig()
    limits: LimitsConfig = LimitsConfig()
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
            _check_overlap(routes)
        fields = (field for route in self.inbound for field in route.fields)
        if not self.vault.reuse_tokens and any(field.shape.luhn for field in fields):
            raise ValueError("vault.reuse_tokens: without it a shape with luhn could equal a card number")
        _check_hosts(self.outbound)
        binds = [each.bind for _, each in self.listen if each is not None]
        binds += [route.bind for route in self.outbound if route.bind is not None]
        if twice := {bind for bind in binds if binds.count(bind) > 1 and not bind.endswith(":0")}:
            raise ValueError(f"two listeners bind {min(twice)}")
        return self


def _check_overlap(routes: tuple[RouteConfig, ...]) -> None:
    for number, route in enumerate(routes):
        for other in routes[:number]:
            shared = route.methods is None or other.methods is None or route.methods & other.methods
            if route.path and route.path == other.path and shared:
                raise ValueError(f"routes {other.name} and {route.name} overlap: both take {route.path}")


def _check_hosts(routes: tuple[OutboundConfig, ...]) -> None:
    named: dict[str, str] = {}
    for route in routes:
        for host in route.hosts:
            other = named.setdefault(host, route.name)
            if other != route.name:
                raise ValueError(f"routes {other} and {route.name} both name the host {host}")
