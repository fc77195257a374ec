"""The configuration of a Panless that is measured: a route for each way through it."""

from __future__ import annotations

from pathlib import Path

import trustme

from tests.harness import configuration
from tests.harness.gateways import STRIPE_SECRET

MANY = "[fields]\naddress_limit = { minute = 100000000, hour = 100000000, day = 100000000 }\n"
_NUMBER = '[{ at = "$.order.card.number", kind = "pan" }]'
_SECURE = 'ca = "ca.pem"'


def _gateway(name: str, upstream: str, more: str) -> str:
    return f"""
[[outbound]]
name       = "{name}"
path       = "/{name}/"
upstream   = "{upstream}/v1/"
apps       = ["shop"]
credential = {{ slots = ["bearer", "basic"], secret = "file:gateway.key" }}
fields     = {configuration.CARD_FIELDS}
{more}
"""


def _webhook(name: str, upstream: str, mode: str) -> str:
    return f"""
[[webhook]]
name     = "{name}"
path     = "/hooks/{name}"
upstream = "{upstream}/in/{name}"
verify   = {{ scheme = "stripe", secret = "file:stripe.key" }}
mode     = "{mode}"
"""


def _routes(upstream: str, secure: str) -> str:
    inbound = f'\n[[inbound]]\nname = "orders"\npath = "/orders"\nupstream = "{upstream}"\nfields = {_NUMBER}\n'
    inbound += f'\n[[inbound]]\nname = "secure"\npath = "/secure/"\nupstream = "{secure}"\n{_SECURE}\n'
    return inbound + "".join(
        [
            _gateway("gateway-tls", secure, _SECURE),
            _gateway("keyed", upstream, 'idempotency_header = "Idempotency-Key"'),
            _gateway("later", upstream, "asynchronous = { attempts = 3, give_up_hours = 1 }"),
            _webhook("stored", upstream, "store"),
            _webhook("passed", upstream, "pass"),
        ]
    )


def certify(folder: Path) -> None:
    """Write ca.pem, and cert.pem with key.pem for 127.0.0.1."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")


def configure(folder: Path, upstream: dict[str, str], *, tls: bool = False) -> Path:
    """Write a configuration before an upstream (`inbound` and `tls` are its URLs) and return its path."""
    config = configuration.write(
        folder, upstream["inbound"], upstream["inbound"], head=MANY, extra=_routes(upstream["inbound"], upstream["tls"])
    )
    (folder / "stripe.key").write_text(STRIPE_SECRET)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (folder / name).write_bytes((folder.parent / name).read_bytes())
    listen = 'fields = { bind = "127.0.0.1:0", trusted_proxies = ["127.0.0.0/8"] }\n'
    text = config.read_text().replace("[listen]\n", f"[listen]\n{listen}", 1)
    if tls:
        plain = 'inbound  = { bind = "127.0.0.1:0" }'
        assert plain in text
        secure = plain.replace(" }", ', tls = { cert = "cert.pem", key = "key.pem" } }')
        text = text.replace(plain, secure)
    config.write_text(text)
    return config
