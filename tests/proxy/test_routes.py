from __future__ import annotations

import dataclasses
from contextlib import suppress

import pytest

from proxy.config import InboundConfig, OutboundConfig
from proxy.errors import MethodNotAllowed, RouteNotFound, TargetInvalid
from proxy.routes import InboundRoute, OutboundRoute, RouteTable

APP = "http://127.0.0.1:9000"


def route(path: str, *, upstream: str = APP, **more: object) -> InboundRoute:
    return InboundRoute.compile(InboundConfig(name="r" + str(abs(hash(path))), path=path, upstream=upstream, **more))


def table(*routes: InboundRoute) -> RouteTable[InboundRoute]:
    return RouteTable(routes)


def matched(found: RouteTable[InboundRoute], path: str, method: str = "POST") -> str:
    return found.match(method, path).path


def test_an_exact_path_is_taken_and_nothing_beside_it():
    routes = table(route("/checkout"))
    assert matched(routes, "/checkout") == "/checkout"
    for path in ("/checkout/", "/checkouts", "/Checkout", "/", "/checkout/x", "/checkou"):
        with pytest.raises(RouteNotFound):
            routes.match("POST", path)


def test_a_prefix_takes_itself_and_everything_under_it():
    routes = table(route("/upload/"))
    for path in ("/upload/", "/upload/a", "/upload/a/b/", "/upload//"):
        assert matched(routes, path) == "/upload/"
    for path in ("/upload", "/uploads", "/UPLOAD/"):
        with pytest.raises(RouteNotFound):
            routes.match("POST", path)


def test_the_longest_match_wins_in_any_order_of_the_routes():
    paths = ["/", "/a/", "/a/b/", "/a/b", "/a/b/c"]
    for order in (paths, paths[::-1]):
        routes = table(*map(route, order))
        found = {path: matched(routes, path) for path in ("/x", "/a", "/a/x", "/a/b", "/a/b/", "/a/b/x", "/a/b/c")}
        assert found == {
            "/x": "/",
            "/a": "/",
            "/a/x": "/a/",
            "/a/b": "/a/b",
            "/a/b/": "/a/b/",
            "/a/b/x": "/a/b/",
            "/a/b/c": "/a/b/c",
        }


def test_methods_tell_routes_of_one_path_apart_and_the_others_are_refused():
    get, post = route("/a", methods=["GET"]), route("/a", methods=["POST", "PUT"])
    routes = table(get, post, route("/"))
    assert routes.match("GET", "/a") is get
    assert routes.match("PUT", "/a") is post
    for method in ("DELETE", "HEAD", "get", ""):
        with pytest.raises(MethodNotAllowed):
            routes.match(method, "/a")


@pytest.mark.parametrize(
    "path",
    [
        "/upload/..",
        "/upload/../admin",
        "/upload/./a",
        "/upload/.",
        "/upload/%2e%2e/admin",
        "/upload/.%2E/admin",
        "/upload/..%2fadmin",
        "/upload/%2e%2e%2fadmin",
        "/upload/%252e%252e/admin",
        "/upload/..%5cadmin",
        "/upload/..\\admin",
        "/upload/..;x=1/admin",
        "/upload/%2e%2e;/admin",
        "/upload/..%3b/admin",
        "..",
        "",
        "upload/a",
        "*",
        "http://evil.example/upload/a",
        "evil.example:443",
        "\\upload\\a",
    ],
)
def test_a_path_that_could_leave_its_route_is_refused(path):
    with pytest.raises(TargetInvalid):
        table(route("/upload/"), route("/")).match("POST", path)


@pytest.mark.parametrize(
    "path", ["/upload/a.b", "/upload/...", "/upload/..a", "/upload/a..", "/upload/%20x", "/upload/%"]
)
def test_other_dots_and_escapes_are_taken(path):
    assert matched(table(route("/upload/")), path) == "/upload/"


# How an application may read what our table took for something else.
SPELLINGS = [
    "/%63heckout",
    "/check%6Fut",
    "/check%256Fut",
    "/checkout/",
    "/Checkout",
    "//checkout",
    "/checkout;a=b",
    "/checkout%20",
    "/checkout%2f",
    "/checkout%00",
    "/%5Ccheckout",
    "/checkout#x",
    "/checkout?a#x",
]


@pytest.mark.parametrize("path", SPELLINGS)
def test_an_escaped_spelling_of_a_protected_path_does_not_reach_an_unprotected_route(path):
    checkout = route("/checkout", fields=[{"at": "$.card.number", "kind": "pan"}])
    routes = table(checkout, route("/"))
    with suppress(TargetInvalid):
        assert routes.match("POST", path) is checkout


def test_lookalikes_matter_only_where_a_card_could_get_past_fields():
    checkout = route("/checkout", methods=["POST"], fields=[{"at": "$.card.number", "kind": "pan"}])
    routes = table(checkout, route("/shop/"), route("/"))
    assert routes.match("GET", "/Checkout").path == "/"
    assert routes.match("POST", "/SHOP/x").path == "/"
    assert routes.match("POST", "/shop").path == "/"
    assert routes.match("POST", "/checkout/x").path == "/"
    with pytest.raises(TargetInvalid):
        routes.match("POST", "/Checkout")


def test_prefix_with_fields_has_lookalikes_too():
    api = route("/api/", fields=[{"at": "$.card.number", "kind": "pan"}])
    routes = table(api, route("/"))
    assert routes.match("POST", "/api/Cards") is api
    assert routes.match("POST", "/api/") is api
    for path in ("/API/cards", "//api/cards", "/%61pi/cards", "/api", "/api;x/cards"):
        with pytest.raises(TargetInvalid):
            routes.match("POST", path)


@pytest.mark.parametrize(
    ("path", "upstream", "request_path", "query", "target"),
    [
        ("/checkout", APP, "/checkout", "", "/checkout"),
        ("/checkout", APP, "/checkout", "a=1&b=%20", "/checkout?a=1&b=%20"),
        ("/checkout", APP + "/", "/checkout", "", "/"),
        ("/checkout", APP + "/hooks/pay", "/checkout", "x", "/hooks/pay?x"),
        ("/upload/", APP, "/upload/a/b", "", "/upload/a/b"),
        ("/upload/", APP + "/files/", "/upload/a/b", "", "/files/a/b"),
        ("/upload/", APP + "/files", "/upload/a%2Fb", "", "/files/a%2Fb"),
        ("/upload/", APP + "/", "/upload/", "", "/"),
        ("/upload/", APP + "/files/", "/upload/", "q", "/files/?q"),
        ("/", APP + "/", "/a//b", "", "/a//b"),
        ("/", APP, "/%E2%82%AC", "?", "/%E2%82%AC??"),
    ],
)
def test_the_remainder_of_the_path_is_appended_and_the_query_stays(path, upstream, request_path, query, target):
    found = route(path, upstream=upstream).upstream_path(request_path)
    assert (f"{found}?{query}" if query else found) == target


def test_a_route_cannot_be_changed_and_does_not_show_its_secret():
    config = OutboundConfig(
        name="gateway",
        path="/gateway/",
        upstream="https://api.example:8443/v1/",
        apps=["shop"],
        credential={"slots": ["basic"], "secret": "env:X"},
        fields=[{"at": "$.cvc", "kind": "cvc", "of": "$.number"}, {"at": "$.number", "kind": "pan"}],
    )
    compiled = OutboundRoute.compile(config, "sk_live_canary")
    assert (compiled.apps, compiled.credential.slots, compiled.credential.secret) == (
        {"shop"},
        ("basic",),
        "sk_live_canary",
    )
    assert (compiled.scheme, compiled.destination) == ("https", "api.example:8443")
    assert compiled.fields.all[0].of == compiled.fields.all[1].at
    assert "canary" not in f"{compiled} {compiled!r}"
    with pytest.raises(dataclasses.FrozenInstanceError):
        compiled.apps = frozenset({"spy"})


def test_a_table_without_routes_takes_nothing():
    with pytest.raises(RouteNotFound):
        table().match("GET", "/")
