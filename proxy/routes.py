"""The route table: compiled once from the configuration, immutable. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Generic, TypeVar
from urllib.parse import unquote

from proxy.config import AsynchronousConfig, InboundConfig, OutboundConfig, RouteConfig
from proxy.errors import FieldMissing, MethodNotAllowed, RouteNotFound, TargetAmbiguous, TargetInvalid
from proxy.protected import Credential, exceptions, protected
from proxy.rewrite.fields import Field, Fields
from proxy.rewrite.selectors import Selector
from proxy.signing.scheme import Scheme

IDEMPOTENCY_KEY = "Idempotency-Key"
"""The header of draft-ietf-httpapi-idempotency-key-header."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way through Panless. `base_path` is None where the request's path is kept as it is."""

    name: str
    path: str
    methods: frozenset[str] | None
    scheme: str
    authority: str
    base_path: str | None
    fields: Fields
    required: frozenset[Selector]
    guard: str

    @classmethod
    def common(cls, config: RouteConfig, more: Iterable[Field] = ()) -> dict[str, object]:
        """Compile what both kinds of route share; `more` are fields that the configuration does not name."""
        url = config.upstream_url
        return {
            "name": config.name,
            "path": config.path,
            "methods": config.methods,
            "scheme": url.scheme,
            "authority": url.netloc,
            "base_path": url.path or None,
            "fields": Fields([*protected(config), *more]),
            "required": frozenset(Selector.parse(each.at) for each in config.fields if each.required),
            "guard": config.guard,
        }

    @property
    def protects_body(self) -> bool:
        """Whether something in the body may have to be replaced."""
        return self.fields.protects_body

    @property
    def is_strict(self) -> bool:
        """Whether no request may get to its application by another spelling of the path."""
        return bool(self.fields)

    @property
    def destination(self) -> str:
        """Host and port, as they stand in audit events."""
        return self.authority

    def check_required(self, found: Iterable[Selector]) -> None:
        """Raise FieldMissing unless every required field was found."""
        for missing in sorted(map(str, self.required.difference(found))) if self.required else ():
            raise FieldMissing(at=missing, route=self.name)

    def upstream_path(self, path: str) -> str:
        """Return the path for the upstream: its own with the remainder appended."""
        if self.base_path is None:
            return path
        if self.path.endswith("/"):
            return self.base_path.rstrip("/") + "/" + path[len(self.path) :]
        return self.base_path


@dataclass(frozen=True, slots=True)
class InboundRoute(Route):
    """`apps`: who may use it; None: anybody."""

    tenant: str
    apps: frozenset[str] | None = None

    @classmethod
    def compile(cls, config: InboundConfig) -> InboundRoute:
        common = cls.common(config, exceptions(config))
        return cls(**common, tenant=config.tenant, apps=config.apps)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class IdempotencyRules:
    """`header` is where the key stands; `honoured`: the gateway takes it there.

    `wait`: for how long a request waits for another one with its key; `keep`: for how long answers are kept.
    """

    header: str
    honoured: bool
    wait: timedelta
    keep: timedelta
    required: bool

    @classmethod
    def compile(cls, config: OutboundConfig) -> IdempotencyRules:
        rules = config.idempotency
        return cls(
            config.idempotency_header or IDEMPOTENCY_KEY,
            config.idempotency_header is not None,
            timedelta(seconds=rules.wait_seconds if rules.running == "wait" else 0),
            timedelta(hours=rules.keep_hours),
            rules.required,
        )


@dataclass(frozen=True, slots=True)
class OutboundRoute(Route):
    """`answers` are the guard's exceptions, which are for what comes back.

    `signing` verifies and signs requests, `covers_body`: their signatures have to cover a body.
    """

    apps: frozenset[str]
    credential: Credential
    answers: Fields
    idempotency: IdempotencyRules
    asynchronous: AsynchronousConfig | None = None
    signing: Scheme | None = None
    covers_body: bool = True

    @classmethod
    def compile(cls, config: OutboundConfig, secret: str | None, signing: Scheme | None = None) -> OutboundRoute:
        credential = Credential.compile(config, secret)
        return cls(
            **cls.common(config, credential.inside),  # type: ignore[arg-type]
            apps=config.apps,
            credential=credential,
            answers=Fields(exceptions(config)),
            idempotency=IdempotencyRules.compile(config),
            asynchronous=config.asynchronous,
            signing=signing,
            covers_body=config.signing is not None and config.signing.cover_body,
        )

    def alone(self) -> RouteTable[OutboundRoute]:
        """Return the table of a port or a tunnel of the route's own: every path is appended to the upstream's."""
        return RouteTable([replace(self, path="/")])


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
        self._is_plain = paths.keys() == self._canonical.keys()
        self._longest = max(map(len, paths), default=0)

    def match(self, method: str, target: str) -> AnyRoute:
        """Return the route of a request target; raises a RequestError."""
        path = target.partition("?")[0]
        plain = self._is_plain and "#" not in target and _is_plain(path) is not None
        if not plain:
            _check_target(target)
        routes = _longest(self._literal, path, self._longest)
        if not routes:
            raise RouteNotFound
        if not plain or (path not in self._literal and f"{path}/" in self._literal):
            self._check_lookalikes(routes, method, path)
        for route in routes:
            if _takes(route, method):
                return route
        raise MethodNotAllowed(route=routes[0].name)

    def _check_lookalikes(self, routes: tuple[AnyRoute, ...], method: str, path: str) -> None:
        lookalikes = self._lookalikes(canonical(path))
        for lookalike in lookalikes:
            if lookalikes != routes and lookalike.is_strict and _takes(lookalike, method):
                raise TargetAmbiguous(route=lookalike.name)

    def _lookalikes(self, path: str) -> tuple[AnyRoute, ...]:
        canonical = self._canonical
        return canonical.get(path) or _longest(canonical, path.rstrip("/") + "/", max(map(len, canonical), default=0))


def _takes(route: Route, method: str) -> bool:
    return route.methods is None or method in route.methods


def _longest(routes: Routes[AnyRoute], path: str, end: int) -> tuple[AnyRoute, ...]:
    """Return the routes of the path, or of the longest prefix of it that ends with a slash.

    `end`: no longer prefix can be one, so that the work does not grow with the path.
    """
    if path in routes:
        return routes[path]
    while (end := path.rfind("/", 0, end) + 1) and path[:end] not in routes:
        end -= 1
    return routes[path[:end]] if end else ()


def _canonical_key(path: str) -> str:
    return canonical(path).rstrip("/") + "/" if path.endswith("/") else canonical(path)


def canonical(path: str) -> str:
    """Return the one spelling of all paths that some framework takes for the same one.

    Percent-encoding undone (twice), slashes merged, parameters after `;`, white space at the end, and case dropped; and
    the slash at the end, but for the root.
    """
    if _is_canonical(path):
        return path.rstrip("/").casefold() or "/"
    plain = unquote(unquote(path)).replace("\\", "/").partition("\0")[0]
    segments = [segment.partition(";")[0].strip() for segment in plain.split("/")]
    merged = "/".join(["", *filter(None, segments)]).casefold()
    return merged or "/"


# Letters, digits and signs that nobody takes for others, between single slashes: nearly every path.
# Such paths in lower case, without a dot or a slash at the end: the one spelling of themselves.
_is_plain = re.compile(r"(?:/[a-z0-9_~!$&'()*+,=:@-]+)+", re.ASCII).fullmatch
_is_canonical = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?", re.ASCII).fullmatch


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
