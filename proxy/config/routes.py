"""The models of routes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from proxy.config.base import Model
from proxy.config.fields import FieldConfig
from proxy.config.idempotency import AsynchronousConfig, IdempotencyConfig
from proxy.config.listeners import ListenConfig, ListenerConfig, TlsConfig
from proxy.config.signing import SigningConfig
from proxy.config.upstreams import UpstreamConfig
from proxy.config.values import (
    Bind,
    ForwardHost,
    HeaderName,
    Name,
    RoutePath,
    SecretReference,
    SelectorText,
    Slot,
)

_TAKES_ALL = re.compile(r"\$(?:\.\.?\*|\.*\[\*\])+")


class RouteConfig(UpstreamConfig):
    name: Name
    path: RoutePath
    methods: Annotated[frozenset[Annotated[str, Field(pattern=r"^[A-Z]+$")]], Field(min_length=1)] | None = None
    fields: tuple[FieldConfig, ...] = ()
    guard: Literal["refuse", "tokenize", "report"] = "refuse"
    guard_except: tuple[SelectorText, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> RouteConfig:
        places = [field.at for field in self.fields]
        if twice := {at for at in places if places.count(at) > 1}:
            raise ValueError(f"fields: {min(twice)} stands twice")
        for at in self.guard_except:
            if at in places or _TAKES_ALL.fullmatch(at):
                raise ValueError(f"guard_except: {at} excepts everything, or what a field protects; name single values")
        cards = {field.at for field in self.fields if field.kind == "pan"}
        for field in self.fields:
            if field.of is not None and (field.kind != "cvc" or field.of not in cards):
                raise ValueError(f"fields: `of` is for a cvc and names the `at` of its pan, which {field.of} is not")
        return self


class InboundConfig(RouteConfig):
    """`apps`: only these may use the route, by key or client certificate; left out, anybody may.

    `customer`: where the application's own name of the customer stands; what is stored can be erased by it.
    """

    tenant: Name = "default"
    apps: frozenset[Name] | None = None
    customer: SelectorText | None = None


class CredentialConfig(Model):
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
    """Reached by `path` on the outbound listener, on a port of its own (`bind`), or as `hosts` of the forward proxy.

    `idempotency_header`, `idempotency_field`: where the gateway takes an idempotency key; `sequence`: operations in
    which it selects the same are sent one after the other.
    """

    path: RoutePath = ""
    bind: Bind | None = None
    tls: TlsConfig | None = None
    hosts: tuple[ForwardHost, ...] = ()
    preset: str | None = None
    apps: frozenset[Name] = frozenset()
    credential: CredentialConfig | None = None
    idempotency_header: HeaderName | None = None
    idempotency_field: SelectorText | None = None
    idempotency: IdempotencyConfig = IdempotencyConfig()
    asynchronous: AsynchronousConfig | None = None
    sequence: SelectorText | None = None
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
        if self.asynchronous is not None and self.signing is not None:
            raise ValueError("asynchronous: what an application has signed cannot be sent later")
        if self.asynchronous is not None and self.asynchronous.give_up_hours > self.idempotency.keep_hours:
            raise ValueError(
                "asynchronous: give_up_hours is at most idempotency's keep_hours: gateways forget keys, too"
            )
        if self.sequence is not None and self.asynchronous is None:
            raise ValueError("sequence is for operations: it needs asynchronous")
        if self.bind is not None and self.name in ListenConfig.model_fields:
            raise ValueError(f"a route with a port of its own cannot be named {self.name}: that is a listener")
        return self


def check_overlap(routes: Sequence[RouteConfig]) -> None:
    """Raise ValueError if two routes take the same path."""
    for number, route in enumerate(routes):
        for other in routes[:number]:
            shared = route.methods is None or other.methods is None or route.methods & other.methods
            if route.path and route.path == other.path and shared:
                raise ValueError(f"routes {other.name} and {route.name} overlap: both take {route.path}")


def check_hosts(routes: Sequence[OutboundConfig]) -> None:
    """Raise ValueError if two routes name the same host."""
    named: dict[str, str] = {}
    for route in routes:
        for host in route.hosts:
            other = named.setdefault(host, route.name)
            if other != route.name:
                raise ValueError(f"routes {other} and {route.name} both name the host {host}")
