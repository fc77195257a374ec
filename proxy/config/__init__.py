"""The configuration: one TOML file, checked into frozen models."""

from proxy.config.load import load, parse
from proxy.config.models import (
    Config,
    InboundConfig,
    LimitsConfig,
    ListenerConfig,
    OutboundConfig,
    RouteConfig,
)

__all__ = [
    "Config",
    "InboundConfig",
    "LimitsConfig",
    "ListenerConfig",
    "OutboundConfig",
    "RouteConfig",
    "load",
    "parse",
]
