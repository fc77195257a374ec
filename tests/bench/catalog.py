"""What is measured: one entry a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tests.bench import requests
from tests.bench.requests import Maker, new_cards, passing, reveals, webhooks

NAIVE = "naive-proxy"
TARGETS = ("pass-through", "tokenize-new", "tokenize-known", "reveal", "reveal paced", "pass-through paced")
OPERATIONS_LEFT = "SELECT count(*) FROM operations WHERE state IN ('pending', 'running')"
EVENTS_LEFT = "SELECT count(*) FROM webhook_events WHERE state IN ('passing', 'pending')"


@dataclass(frozen=True)
class Spec:
    """One row. Rows of a group are interleaved; `yardstick`: the row of the same group that its ratio is to.

    `paced`: sent at a quarter of the rate that the first paced row of its subject can take. `left`: SQL that counts
    what the requests have left to do; its CPU counts, too. `about`: what is measured, where the name does not say it.
    """

    name: str
    make: Maker
    subject: str = "panless"
    listener: str = "inbound"
    connections: int = 32
    expected: int = 200
    yardstick: str = NAIVE
    group: str = "200 B"
    rounds: int = 3
    left: str = ""
    paced: bool = False
    about: str = ""


def _main() -> list[Spec]:
    paced = "evenly, at a quarter of what reveal can take"
    made = [
        Spec(NAIVE, passing(), "naive"),
        Spec("nginx", passing(), "nginx", about="pass-through"),
        Spec("mitmproxy", passing(), "mitmproxy", about="swaps one field, stores nothing"),
        Spec("pass-through", passing()),
        Spec("tokenize-new", new_cards()),
        Spec("tokenize-known", requests.known_cards),
        Spec("reveal", reveals(), listener="outbound"),
        Spec("reveal paced", reveals(), listener="outbound", paced=True, about=paced),
        Spec("pass-through paced", passing(), paced=True, about=paced),
    ]
    return [replace(each, rounds=5) for each in made]


def _ways() -> list[Spec]:
    delivered, sent = "with its delivery, which is later", "with the sending, which is later"
    return _group(
        "ways",
        f"{NAIVE} beside ways",
        Spec("hosted-field-session", requests.sessions, listener="fields"),
        Spec("hosted-field-tokenize", requests.hosted_fields, listener="fields", about="card and CVC"),
        Spec("webhook pass", webhooks("passed")),
        Spec("webhook store", webhooks("stored"), left=EVENTS_LEFT, about=delivered),
        Spec("idempotent-replay", requests.replays, listener="outbound"),
        Spec("async-enqueue", requests.enqueued, listener="outbound", expected=202, left=OPERATIONS_LEFT, about=sent),
        Spec("tokenize-new form", new_cards(kind="form")),
        Spec("tokenize-new xml", new_cards(kind="xml")),
    )


def _sizes() -> list[Spec]:
    made: list[Spec] = []
    for size in ("10 KB", "1 MB"):
        kinds = ("form", "xml") if size == "10 KB" else ()
        made += _group(
            size,
            f"{NAIVE} {size}",
            Spec(f"pass-through {size}", passing(size)),
            Spec(f"tokenize-new {size}", new_cards(size)),
            Spec(f"reveal {size}", reveals(size), listener="outbound"),
            *(Spec(f"tokenize-new {kind} {size}", new_cards(size, kind)) for kind in kinds),
            body=size,
        )
    return made


def _connections() -> list[Spec]:
    made: list[Spec] = []
    for count in (1, 256):
        said = f"{count} connection{'s' if count > 1 else ''}"
        group = _group(
            said,
            f"{NAIVE} {said}",
            Spec(f"pass-through {said}", passing()),
            Spec(f"tokenize-new {said}", new_cards()),
            Spec(f"reveal {said}", reveals(), listener="outbound"),
        )
        made += [replace(each, connections=count) for each in group]
    return made


def _tls() -> list[Spec]:
    plain, upstream = "the yardstick speaks no TLS", "panless-upstream"
    return _group(
        "TLS",
        f"{NAIVE} beside TLS",
        Spec("pass-through TLS client", passing(), "panless-tls", about=plain),
        Spec("tokenize-new TLS client", new_cards(), "panless-tls", about=plain),
        Spec("pass-through TLS upstream", passing(path="/secure/x"), upstream, about=plain),
        Spec("reveal TLS upstream", reveals(path="/gateway-tls/charges"), upstream, "outbound", about=plain),
    )


def _workers() -> list[Spec]:
    ways: list[tuple[str, Maker, str]] = [
        ("pass-through", passing(), "inbound"),
        ("tokenize-new", new_cards(), "inbound"),
        ("reveal", reveals(), "outbound"),
    ]
    made = [
        Spec(f"{name} {said}", make, f"workers-{count}", listener)
        for name, make, listener in ways
        for count, said in ((1, "1 worker"), (2, "2 workers"))
    ]
    return [replace(each, connections=256) for each in _group("workers", f"{NAIVE} beside workers", *made)]


def cards_said(count: int) -> str:
    """How a number of cards is written in the name of a row."""
    exponent = len(str(count)) - 1
    return f"10^{exponent} cards" if count == 10**exponent else f"{count} cards"


def _tables(sizes: Sequence[int]) -> list[Spec]:
    """The sizes of one way beside one another, as they are compared."""
    ways: list[tuple[str, Maker, str]] = [
        ("tokenize-new", new_cards(), "inbound"),
        ("tokenize-known", requests.known_cards, "inbound"),
        ("reveal", reveals(), "outbound"),
    ]
    made = [
        Spec(f"{name} {cards_said(size)}", make, f"cards-{size}", listener, rounds=5)
        for name, make, listener in ways
        for size in sizes
    ]
    return _group("tables", f"{NAIVE} beside tables", *made)


def _group(group: str, naive: str, *specs: Spec, body: str = "200 B") -> list[Spec]:
    """Rows with a yardstick of their own, which is measured in turn with them."""
    made = [Spec(naive, passing(body), "naive", rounds=max(each.rounds for each in specs)), *specs] if specs else []
    return [replace(each, group=group, yardstick=naive) for each in made]


def catalog(tables: Sequence[int]) -> list[Spec]:
    return [*_main(), *_ways(), *_sizes(), *_connections(), *_tls(), *_workers(), *_tables(tables)]


def chosen(name: str, wanted: Iterable[str]) -> bool:
    """Tell whether a row, or a part, was asked for: by the beginning of its name. `targets`: TARGETS."""
    return any(name in TARGETS if each == "targets" else name.startswith(each) for each in wanted)


def selection(specs: Sequence[Spec], wanted: Sequence[str]) -> list[Spec]:
    """The rows that were asked for (all, if none was), with what their ratios are to."""
    rows = [each for each in specs if not wanted or chosen(each.name, wanted)]
    needed = {each.name for each in rows} | {each.yardstick for each in rows}
    return [each for each in specs if each.name in needed]
