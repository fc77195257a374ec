"""The route table: compiled once from the configuration, immutable. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar
from urllib.parse import unquote

from proxy.config import InboundConfig, OutboundConfig, RouteConfig
from proxy.errors import MethodNotAllowed, RouteNotFound, TargetInvalid
from proxy.rewrite.plan import Field
from proxy.rewrite.selectors import Selector


@dataclass(frozen=True, slots=True)
class Route:
    """One way through Panless. `base_path` is None where the request's path is kept as it is."""

    name: str
    path: str
    methods: frozenset[str] | None
    scheme: str
    authority: str
    base_path: str | None
    fields: tuple[Field, ...]

    @classmethod
    def common(cls, config: RouteConfig) -> dict[str, object]:
        """Compile what both kinds of route share."""
        url = config.upstream_url
        return {
            "name": config.name,
            "path": config.path,
            "methods": config.methods,
            "scheme": url.scheme,
            "authority": url.netloc,
            "base_path": url.path or None,
            "fields": tuple(_field(each.at, each.kind, each.of) for each in config.fields),
        }

    @property
    def destination(self) -> str:
        """Host and port, as they stand in audit events."""
        return self.authority

    def upstream_target(self, path: str, query: str) -> str:
        """Return the request target for the upstream: its path with the remainder appended, query untouched."""
        if self.base_path is None:
            target = path
        elif self.path.endswith("/"):
            target = self.base_path.rstrip("/") + "/" + path[len(self.path) :]
        else:
            target = self.base_path
        return f"{target}?{query}" if query else target


@dataclass(frozen=True, slots=True)
class InboundRoute(Route):
    tenant: str

    @classmethod
    def compile(cls, config: InboundConfig) -> InboundRoute:
        return cls(**cls.common(config), tenant=config.tenant)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class OutboundRoute(Route):
    apps: frozenset[str]
    slots: tuple[str, ...]
    secret: str | None = field(repr=False)

    @classmethod
    def compile(cls, config: OutboundConfig, secret: str | None) -> OutboundRoute:
        slots = config.credential.slots if config.credential else ()
        return cls(**cls.common(config), apps=config.apps, slots=slots, secret=secret)  # type: ignore[arg-type]


def _field(at: str, kind: str, of: str | None) -> Field:
    return Field(Selector.parse(at), kind, Selector.parse(of) if of else None)


AnyRoute = TypeVar("AnyRoute", bound=Route)


class RouteTable(Generic[AnyRoute]):
    """Finds the route of a path: an exact one first, then the longest prefix."""

    def __init__(self, routes: Sequence[AnyRoute]) -> None:
        paths: dict[str, tuple[AnyRoute, ...]] = {}
        for route in routes:
            paths[route.path] = (*paths.get(route.path, ()), route)
        self._routes: Mapping[str, tuple[AnyRoute, ...]] = MappingProxyType(paths)
        self._prefixes = tuple(sorted((path for path in paths if path.endswith("/")), key=len, reverse=True))

    def match(self, method: str, path: str) -> AnyRoute:
        """Return the route; raises TargetInvalid, RouteNotFound or MethodNotAllowed."""
        _check_path(path)
        routes = self._routes.get(path)
        if routes is None:
            prefix = next((prefix for prefix in self._prefixes if path.startswith(prefix)), None)
            if prefix is None:
                raise RouteNotFound
            routes = self._routes[prefix]
        for route in routes:
            if route.methods is None or method in route.methods:
                return route
        raise MethodNotAllowed(route=routes[0].name)


def _check_path(path: str) -> None:
    # A receiver that resolves dot segments would leave the route's prefix, so none may pass, however encoded.
    if not path.startswith("/"):
        raise TargetInvalid
    if "." in path or "%" in path:
        segments = unquote(unquote(path)).replace("\\", "/").split("/")
        if any(segment.partition(";")[0] in (".", "..") for segment in segments):
            raise TargetInvalid
