"""What can change of a configuration while Panless runs, compiled: one immutable value, swapped in as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proxy.config import Config
from proxy.config.policy import limits
from proxy.config.signing import SigningConfig
from proxy.errors import ConfigInvalid
from proxy.hooking import compile_notices, compile_webhooks, fetching_settings
from proxy.hosts import HTTPS_PORT, HostPort
from proxy.routes import InboundRoute, OutboundRoute, RouteTable
from proxy.secrets import LocalSecrets, Lookup, Secrets, SecretUnavailable
from proxy.settings import policy_of
from proxy.signing.scheme import Scheme
from proxy.state.webhook_events import OPERATION, WEBHOOK
from proxy.upstream.settings import UpstreamSettings
from proxy.webhook_routes import Destinations, InboundTable
from vault.policy import Policy
from vault.velocity import Limits


@dataclass(frozen=True, slots=True)
class Compiled:
    """Routes and what they need. `own`: outbound routes by name; `by_host`: names of those that stand in for hosts."""

    config: Config
    secrets: Secrets
    inbound: InboundTable
    outbound: RouteTable[OutboundRoute]
    own: Mapping[str, OutboundRoute]
    by_host: Mapping[HostPort, str]
    upstreams: Mapping[str, UpstreamSettings]
    destinations: Destinations
    policy: Policy
    limits: Limits

    @classmethod
    def compile(cls, config: Config, secrets: Secrets) -> Compiled:
        """Compile everything; raises ConfigInvalid if something cannot be used, and then nothing has changed."""
        routes = compile_outbound(config, secrets)
        webhooks, notices = compile_webhooks(config, secrets), compile_notices(config, secrets)
        return cls(
            config,
            secrets,
            inbound=RouteTable([*map(InboundRoute.compile, config.inbound), *(each.route for each in webhooks)]),
            outbound=RouteTable([route for route in routes if route.path]),
            own=MappingProxyType({route.name: route for route in routes}),
            by_host=MappingProxyType(
                {
                    HostPort.parse(host, default_port=HTTPS_PORT): route.name
                    for route in config.outbound
                    for host in route.hosts
                }
            ),
            upstreams=MappingProxyType(
                {
                    route.name: UpstreamSettings.compile(route, config, route.name)
                    for route in (*config.inbound, *config.outbound, *config.webhook)
                }
                | {each.destination.route.name: each.settings for each in notices}
                | fetching_settings(config)
            ),
            destinations=MappingProxyType(
                {(WEBHOOK, each.route.name): each.destination for each in webhooks}
                | {(OPERATION, each.name): each.destination for each in notices}
            ),
            policy=policy_of(config),
            limits=limits(config.velocity, config.unusual),
        )


def compile_outbound(config: Config, secrets: Lookup | None = None) -> list[OutboundRoute]:
    """Compile the outbound routes with their secrets; raises ConfigInvalid if one is not to be had."""
    secrets = secrets or LocalSecrets(config.folder)
    routes = []
    for number, route in enumerate(config.outbound):
        key = f"outbound.{number}"
        secret = None
        if route.credential is not None and route.credential.secret is not None:
            secret = _secret(route.credential.secret, config, secrets, f"{key}.credential.secret")
        signing = None
        if route.signing is not None:
            signing = _signing(route.signing, config, secrets, f"{key}.signing")
        routes.append(OutboundRoute.compile(route, secret, signing))
    return routes


def _signing(signing: SigningConfig, config: Config, secrets: Lookup, key: str) -> Scheme:
    app_secret = _secret(signing.app_secret, config, secrets, f"{key}.app_secret")
    secret = _secret(signing.secret, config, secrets, f"{key}.secret")
    try:
        return signing.compile(signing.secrets(app_secret, secret))
    except ValueError as error:
        raise ConfigInvalid(file=str(config.file), key=key, problem=str(error)) from None


def _secret(reference: str, config: Config, secrets: Lookup, key: str) -> str:
    try:
        return secrets.get(reference)
    except SecretUnavailable as error:
        raise ConfigInvalid(file=str(config.file), key=key, problem=str(error)) from None
