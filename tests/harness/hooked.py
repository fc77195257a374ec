"""A Panless with webhook routes of every scheme, the application behind it, and a host with PayPal's certificate."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import trustme
from yarl import URL

from proxy.rewrite.message import Headers
from tests.harness import gateways
from tests.harness.process import PanlessProcess, serving
from tests.harness.upstream import Answer, Received, RecordingUpstream, recording
from tests.harness.waiting import until

SIGNING = "whsec_" + "c2lnbmVkIGJ5IHBhbmxlc3MsIG5vdCBhIHNlY3JldA=="
OLD_STRIPE = "whsec_an_older_secret_of_stripe"
CARD = "4242424242424242"
FIELDS = '[{ at = "$.data.object.card", kind = "pan" }]'


def webhook(name: str, verify: str, app: str, more: str = "") -> str:
    return f"""
[[webhook]]
name     = "{name}"
path     = "/hooks/{name}"
upstream = "{app}/in/{name}"
verify   = {{ {verify} }}
{more}
"""


def routes(app: str, host: str) -> str:
    stripe = 'scheme = "stripe", secret = ["file:stripe", "file:stripe-old"]'
    signed = 'sign = { secret = "file:signing" }'
    parts = 'parts = ["timestamp", "text:.", "body"], timestamp = "X-Time", id = "$.id", prefix = "v0="'
    return "".join(
        [
            f'\n[[inbound]]\nname = "pages"\npath = "/"\nupstream = "{app}"\n',
            webhook("stripe", stripe, app, f'{signed}\nfields = {FIELDS}\norder = "$.data.object.id"'),
            webhook("refusing", stripe, app, 'guard = "refuse"'),
            webhook("passing", stripe, app, 'mode = "pass"'),
            webhook("standard", 'scheme = "standard-webhooks", secret = "file:standard"', app),
            webhook("hmac", f'scheme = "hmac", header = "X-Sig", secret = "file:hmac", {parts}', app),
            webhook("adyen", 'scheme = "adyen", secret = "file:adyen"', app),
            webhook("braintree", 'scheme = "braintree", public_key = "public1", secret = "file:braintree"', app),
            webhook(
                "paypal",
                f'scheme = "paypal", webhook_id = "{gateways.WEBHOOK_ID}", hosts = ["{host}"], ca = "roots.pem"',
                app,
            ),
        ]
    )


def write(folder: Path, text: str) -> Path:
    """Write the configuration and its secrets."""
    folder.mkdir(parents=True, exist_ok=True)
    secrets = {
        "stripe": gateways.STRIPE_SECRET,
        "stripe-old": OLD_STRIPE,
        "standard": gateways.STANDARD_SECRET,
        "hmac": "a shared secret",
        "adyen": gateways.ADYEN_KEY,
        "braintree": gateways.BRAINTREE_KEY,
        "signing": SIGNING,
    }
    for name, secret in secrets.items():
        (folder / name).write_text(secret)
    config = folder / "panless.toml"
    head = 'data_dir = "data"\n[limits]\nbody_bytes = 65536\n[listen]\n'
    listen = 'inbound = { bind = "127.0.0.1:0" }\nadmin = { bind = "127.0.0.1:0" }\n'
    config.write_text(head + listen + text)
    return config


def event(number: int | str = 1, thing: str = "ch_1", **more) -> bytes:
    """Return an event as Stripe writes one."""
    made = {"id": f"evt_{number}", "object": "event", "data": {"object": {"id": thing, **more}}}
    return json.dumps(made).encode()


@dataclass
class Hooked:
    panless: PanlessProcess
    app: RecordingUpstream
    paypal: RecordingUpstream
    signer: gateways.PayPalSigner
    client: aiohttp.ClientSession
    numbers: list[int] = field(default_factory=lambda: [0])

    def fresh(self) -> str:
        """A number that no event of this world has had."""
        self.numbers[0] += 1
        return f"no-{self.numbers[0]:03}"  # nothing that an id could hold by chance

    async def post(self, name: str, body: bytes, headers: Headers = (), query: str = "") -> tuple[int, str]:
        """Send a webhook; return status and code of the answer."""
        url = URL(f"{self.panless.urls['inbound']}/hooks/{name}{query}", encoded=True)
        given = [("Content-Type", "application/json"), *headers]
        async with self.client.post(url, data=body, headers=given) as answer:
            await answer.read()
            return answer.status, answer.headers.get("Panless-Error", "")

    async def stripe(self, body: bytes, name: str = "stripe", secret: str = gateways.STRIPE_SECRET) -> tuple[int, str]:
        return await self.post(name, body, gateways.by_stripe(body, int(time.time()), secret))

    def at(self, name: str) -> list[Received]:
        """What the application got on a route."""
        return [each for each in self.app.received if each.target.startswith(f"/in/{name}")]

    async def arrived(self, name: str, count: int = 1) -> list[Received]:
        """Wait until the application got so much on a route."""

        async def there() -> bool:
            return len(self.at(name)) >= count

        await until(there)
        return self.at(name)

    async def quiet(self) -> None:
        """Give a delivery that must not be the time that one takes: another one, begun later, has arrived."""
        number = self.fresh()
        body = event(number, thing=f"quiet_{number}")
        assert (await self.stripe(body))[0] == 200

        async def there() -> bool:
            return any(number.encode() in each.body for each in self.at("stripe"))

        await until(there)

    async def metric(self, start: str) -> float:
        async with self.client.get(self.panless.urls["admin"] + "/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))

    async def listed(self, *options: str) -> list[dict]:
        done = await self.panless.command("webhooks", "list", "--json", *options)
        assert done.code == 0, done.err
        return json.loads(done.out)


@asynccontextmanager
async def hooked(folder: Path) -> AsyncIterator[Hooked]:
    """Serve all of it; PayPal's certificate stands on a host of its own, over TLS."""
    authority, signer = trustme.CA(), gateways.PayPalSigner()
    tls = tls_of(authority)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "roots.pem").write_bytes(signer.roots + authority.cert_pem.bytes())
    async with recording() as app, recording(tls) as paypal, aiohttp.ClientSession() as client:
        paypal.answer = Answer(body=signer.chain, headers=[("Content-Type", "application/x-pem-file")])
        config = write(folder, routes(app.url, f"localhost:{paypal.port}"))
        async with serving(config) as panless:
            yield Hooked(panless, app, paypal, signer, client)


def tls_of(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context
