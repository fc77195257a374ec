"""The requests of each row. Makers: (site, generator, count) -> so many requests, made before anything is measured."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle, islice

from tests.bench.bodies import SIZES, TYPES, event, post, signature, template, with_number
from tests.bench.generator import Generator
from tests.bench.load import Job
from tests.bench.site import Missing, Site
from tests.harness.hosted import SHOP

Maker = Callable[[Site, Generator, int], Awaitable[Sequence[bytes]]]
PRIMED = 200
NOT_A_CARD = "not a card number"


def _repeated(requests: Sequence[bytes], count: int) -> list[bytes]:
    return list(islice(cycle(requests), count))


def passing(size: str = "200 B", path: str = "/upload/x") -> Maker:
    """A body that holds nothing to protect, on a route without fields."""

    async def make(_site: Site, _generator: Generator, count: int) -> Sequence[bytes]:
        return [post(path, with_number(template("json", SIZES[size]), NOT_A_CARD))] * count

    return make


def new_cards(size: str = "200 B", kind: str = "json") -> Maker:
    """A card that was never seen in each of them."""
    body, path = template(kind, SIZES[size]), "/orders" if kind == "xml" else "/checkout"

    async def make(site: Site, _generator: Generator, count: int) -> Sequence[bytes]:
        return [post(path, with_number(body, site.numbers.new()), media=TYPES[kind]) for _ in range(count)]

    return make


async def known_cards(site: Site, _generator: Generator, count: int) -> Sequence[bytes]:
    return _repeated([post("/checkout", with_number(template(), number)) for number in site.known], count)


def reveals(size: str = "200 B", path: str = "/gateway/charges") -> Maker:
    """The token of a known card in each of them."""
    body = template("json", SIZES[size])

    async def make(site: Site, _generator: Generator, count: int) -> Sequence[bytes]:
        return _repeated([post(path, with_number(body, token), site.headers) for token in site.tokens], count)

    return make


def _begin(site: Site) -> bytes:
    headers = f"Origin: {SHOP}\r\nSec-Fetch-Site: cross-site\r\n"
    return post("/v1/sessions", json.dumps({"key": site.page_key}).encode(), headers)


async def sessions(site: Site, _generator: Generator, count: int) -> Sequence[bytes]:
    """What a page asks for before its fields can be used."""
    return [_begin(site)] * count


async def hosted_fields(site: Site, generator: Generator, count: int) -> Sequence[bytes]:
    """What the frame of a page hands in, each in a session of its own, which is begun here."""
    begun = await generator.run(Job(site.urls["fields"], [_begin(site)] * count, 16, keep_bodies=True))
    headers = f"Origin: {site.urls['fields']}\r\nSec-Fetch-Site: same-origin\r\n"
    card = {"expiry": "12/2040", "cvc": "123", "name": "Ada Lovelace", "key": site.page_key, "origin": SHOP}
    documents = (card | {"number": site.numbers.new(), "session": json.loads(body)["session"]} for body in begun.bodies)
    return [post("/v1/tokens", json.dumps(document).encode(), headers) for document in documents]


def webhooks(name: str) -> Maker:
    """Events of a gateway, signed, each with an id of its own."""

    async def make(_site: Site, _generator: Generator, count: int) -> Sequence[bytes]:
        bodies = [event(secrets.randbits(60)) for _ in range(count)]
        return [post(f"/hooks/{name}", body, signature(body)) for body in bodies]

    return make


async def replays(site: Site, generator: Generator, count: int) -> Sequence[bytes]:
    """Payments that were sent before with the same idempotency key; the first time is here."""
    if not site.primed:
        site.primed = [
            post(
                "/keyed/charges",
                with_number(template(), token),
                f"{site.headers}Idempotency-Key: {secrets.token_hex(12)}\r\n",
            )
            for token in site.tokens[:PRIMED]
        ]
        await generator.run(Job(site.urls["outbound"], site.primed, 8))
    return _repeated(site.primed, count)


async def enqueued(site: Site, _generator: Generator, count: int) -> Sequence[bytes]:
    """Payments that are to be sent later."""
    headers = f"{site.headers}Prefer: respond-async\r\n"
    made = [post("/later/charges", with_number(template(), token), headers) for token in site.tokens]
    return _repeated(made, count)


async def prime(site: Site, generator: Generator) -> None:
    """Register an application and a page, and let some cards be known."""
    await site.register()
    site.known = [site.numbers.new() for _ in range(PRIMED)]
    first = await known_cards(site, generator, PRIMED)
    measured = await generator.run(Job(site.urls["inbound"], first, 8, site.ca))
    if measured.statuses != {200: PRIMED}:
        raise Missing(f"cards were answered with {measured.statuses} {measured.problem}")
    await site.learn()
