"""The configuration: one TOML file, checked into frozen models."""

from proxy.config.load import load, parse
from proxy.config.models import (
    Config,
    FieldConfig,
    InboundConfig,
    LimitsConfig,
    ListenerConfig,
    OutboundConfig,
    RouteConfig,
)

__all__ = [
    "Config",
    "FieldConfig",
    "InboundConfig",
    "LimitsConfig",
    "ListenerConfig",
    "OutboundConfig",
    "RouteConfig",
    "load",
    "parse",
]
