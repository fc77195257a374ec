"""A shop with a checkout page of its own origin and a strict policy. Its server keeps whatever it was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from proxy.fields.assets import assets

# What a shop has to write to take a card: ten lines of script.
CHECKOUT = """\
const fields = Panless(document.body.dataset.key).fields();
for (const name of ["number", "expiry", "cvc"]) fields.create(name).mount(`#${name}`);
const [form, button, said] = ["form", "button", "#result"].map((what) => document.querySelector(what));
form.addEventListener("submit", (event) => {
  event.preventDefault(), (button.disabled = true);
  const pay = (card) => fetch("/pay", { method: "POST", body: JSON.stringify(card) });
  const paying = fields.tokenize({ name: form.elements.holder.value }).then(pay);
  const told = paying.then(({ ok }) => (ok ? "Paid" : "The payment was not made."), ({ message }) => message);
  told.then((text) => (said.textContent = text)).finally(() => (button.disabled = false));
});
"""

STYLE = """\
body { margin: 0 auto; max-width: 30rem; padding: 1.5rem; font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; }
body.dark { color-scheme: dark; background: #14171c; color: #f2f2f2; }
label, .name { display: block; margin: 1rem 0 0.25rem; font-weight: 600; }
.box, input { box-sizing: border-box; width: 100%; padding: 0.7rem 0.8rem; border: 1px solid #767c86;
  border-radius: 8px; background: #fff; font: inherit; }
.dark .box, .dark input { background: #1f242c; color: inherit; }
.panless-focus, input:focus { border-color: #0b57d0; box-shadow: 0 0 0 2px #0b57d0; outline: 0; }
.panless-invalid { border-color: #b3261e; }
.dark .panless-invalid { border-color: #ffb4ab; }
.panless-invalid.panless-focus { box-shadow: 0 0 0 2px #b3261e; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
button { margin-top: 1.5rem; width: 100%; padding: 0.8rem; border: 0; border-radius: 8px; background: #0b57d0;
  color: #fff; font: inherit; font-weight: 600; }
"""

_FORM = """\
<form>
<label for="holder">Name on card</label><input id="holder" autocomplete="cc-name">
<label for="number">Card number</label><div class="box" id="number"></div>
<div class="pair"><div><label for="expiry">Expiry date</label><div class="box" id="expiry"></div></div>
<div><label for="cvc">Security code</label><div class="box" id="cvc"></div></div></div>
<button>Pay</button><p id="result" role="status"></p>
</form>
<script src="/checkout.js"></script>"""

# Places for what a test mounts itself.
_PLACES = "".join(f'<p class="name">Place {name}</p><div class="box" id="{name}"></div>' for name in "abcdef")


@dataclass
class Shop:
    """`paid` are the bodies that its server got; `strict` is the policy of its pages."""

    fields: str
    key: str = ""
    url: str = ""
    paid: list[str] = field(default_factory=list)

    @property
    def script(self) -> str:
        return f"{self.fields}{assets().prefix}/panless.js"

    @property
    def strict(self) -> str:
        return (
            f"default-src 'none'; script-src 'self' {self.fields}; frame-src 'self' {self.fields}; style-src 'self'; "
            f"connect-src 'self' {self.fields}; img-src 'self'; base-uri 'none'; form-action 'self'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )

    def _page(self, request: web.Request, content: str) -> web.Response:
        lang = request.query.get("lang", "en")
        integrity = assets().served["panless.js"].integrity
        text = (
            f'<!doctype html><html lang="{lang}" dir="{"rtl" if lang == "ar" else "ltr"}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>A shop</title>'
            f'<link rel="stylesheet" href="/shop.css"><link rel="icon" href="/icon">'
            f'<script src="{self.script}" integrity="{integrity}" crossorigin="anonymous"></script></head>'
            f'<body class="{request.query.get("look", "")}" data-key="{self.key}"><main><h1>A shop</h1>{content}</main>'
            "</body></html>"
        )
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": self.strict})

    async def checkout(self, request: web.Request) -> web.Response:
        return self._page(request, _FORM)

    async def places(self, request: web.Request) -> web.Response:
        return self._page(request, _PLACES)

    async def pay(self, request: web.Request) -> web.Response:
        self.paid.append(await request.text())
        return web.json_response({})

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self.checkout)
        app.router.add_get("/places", self.places)
        app.router.add_post("/pay", self.pay)
        for path, text, media in (("checkout.js", CHECKOUT, "text/javascript"), ("shop.css", STYLE, "text/css")):
            app.router.add_get(f"/{path}", _saying(text, media))
        app.router.add_get("/icon", _saying("<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"))
        return app


def _saying(text: str, media: str):
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=media)

    return answer


@asynccontextmanager
async def selling(shop: Shop) -> AsyncIterator[Shop]:
    """Serve the shop on localhost, which to a browser is another site than 127.0.0.1, where the fields are."""
    runner = web.AppRunner(shop.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shop.url = f"http://localhost:{runner.addresses[0][1]}"
    try:
        yield shop
    finally:
        await runner.cleanup()
