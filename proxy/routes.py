"""The route table: compiled once from the configuration, immutable. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Generic, TypeVar
from urllib.parse import unquote

from proxy.config import InboundConfig, OutboundConfig, RouteConfig
from proxy.errors import FieldMissing, MethodNotAllowed, RouteNotFound, TargetAmbiguous, TargetInvalid
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
    required: frozenset[Selector]

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
            "required": frozenset(Selector.parse(each.at) for each in config.fields if each.required),
        }

    @property
    def destination(self) -> str:
        """Host and port, as they stand in audit events."""
        return self.authority

    def check_required(self, found: Iterable[Selector]) -> None:
        """Raise FieldMissing unless every required field was found."""
        for missing in sorted(map(str, self.required.difference(found))):
            raise FieldMissing(at=missing, route=self.name)

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

    def alone(self) -> RouteTable[OutboundRoute]:
        """Return the table of a port or a tunnel of the route's own: every path is appended to the upstream's."""
        return RouteTable([replace(self, path="/")])


def _field(at: str, kind: str, of: str | None) -> Field:
    return Field(Selector.parse(at), kind, Selector.parse(of) if of else None)


AnyRoute = TypeVar("AnyRoute", bound=Route)
Routes = Mapping[str, tuple[AnyRoute, ...]]


class RouteTable(Generic[AnyRoute]):
    """Finds the route of a path: an exact one first, then the longest prefix.

    A path that a receiver may read as another one, for which there is another route, is refused: `/Checkout` or
    `/%63heckout` would get a card past the fields of `/checkout`.
    """

    def __init__(self, routes: Sequence[AnyRoute]) -> None:
        paths: dict[str, tuple[AnyRoute, ...]] = {}
        for route in routes:
            paths[route.path] = (*paths.get(route.path, ()), route)
        self._literal: Routes[AnyRoute] = MappingProxyType(paths)
        self._canonical: Routes[AnyRoute] = MappingProxyType({_canonical_key(path): paths[path] for path in paths})

    def match(self, method: str, target: str) -> AnyRoute:
        """Return the route of a request target; raises a RequestError."""
        _check_target(target)
        path = target.partition("?")[0]
        routes = _longest(self._literal, path)
        if not routes:
            raise RouteNotFound
        lookalikes = self._lookalikes(canonical(path))
        for lookalike in lookalikes:
            if lookalikes != routes and lookalike.fields and _takes(lookalike, method):
                raise TargetAmbiguous(route=lookalike.name)
        for route in routes:
            if _takes(route, method):
                return route
        raise MethodNotAllowed(route=routes[0].name)

    def _lookalikes(self, path: str) -> tuple[AnyRoute, ...]:
        return self._canonical.get(path) or _longest(self._canonical, path.rstrip("/") + "/")


def _takes(route: Route, method: str) -> bool:
    return route.methods is None or method in route.methods


def _longest(routes: Routes[AnyRoute], path: str) -> tuple[AnyRoute, ...]:
    """Return the routes of the path, or of the longest prefix of it that ends with a slash."""
    while path not in routes:
        if not path:
            return ()
        path = path[: path[:-1].rfind("/") + 1]
    return routes[path]


def _canonical_key(path: str) -> str:
    return canonical(path).rstrip("/") + "/" if path.endswith("/") else canonical(path)


def canonical(path: str) -> str:
    """Return the one spelling of all paths that some framework takes for the same one.

    Percent-encoding undone (twice), slashes merged, parameters after `;`, white space at the end, and case dropped; and
    the slash at the end, but for the root.
    """
    plain = unquote(unquote(path)).replace("\\", "/").partition("\0")[0]
    segments = [segment.partition(";")[0].strip() for segment in plain.split("/")]
    merged = "/".join(["", *filter(None, segments)]).casefold()
    return merged or "/"


def _check_target(target: str) -> None:
    # No fragment is ever sent (RFC 9112, section 3.2): clients drop it, so routes must not see it either.
    if not target.startswith("/") or "#" in target:
        raise TargetInvalid
    path = target.partition("?")[0]
    # A receiver that resolves dot segments would leave the route's prefix, so none may pass, however encoded.
    if "." in path or "%" in path:
        segments = unquote(unquote(path)).replace("\\", "/").split("/")
        if any(segment.partition(";")[0] in (".", "..") for segment in segments):
            raise TargetInvalid
