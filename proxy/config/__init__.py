"""The configuration: one TOML file, checked into frozen models."""

from proxy.config.fields import FieldConfig
from proxy.config.idempotency import AsynchronousConfig
from proxy.config.listeners import ListenerConfig
from proxy.config.load import config_schema, load, load_text, parse, read
from proxy.config.models import Config, LimitsConfig
from proxy.config.routes import InboundConfig, OutboundConfig, RouteConfig

__all__ = [
    "AsynchronousConfig",
    "Config",
    "FieldConfig",
    "InboundConfig",
    "LimitsConfig",
    "ListenerConfig",
    "OutboundConfig",
    "RouteConfig",
    "config_schema",
    "load",
    "load_text",
    "parse",
    "read",
]
