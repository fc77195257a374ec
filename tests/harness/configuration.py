"""Configurations for tests: one inbound and one outbound route, and whatever a test adds."""

from __future__ import annotations

from pathlib import Path

CARD_FIELDS = """[
  { at = "$.card.number", kind = "pan" },
  { at = "$.card.cvc", kind = "cvc", of = "$.card.number" },
]"""

GATEWAY_SECRET = "sk_live_the_gateways_own_secret"


def write(
    folder: Path, app_url: str, gateway_url: str, *, extra: str = "", head: str = "", data_dir: str = "data"
) -> Path:
    """Write `panless.toml` and the gateway's secret to a folder and return its path.

    Routes: inbound `/checkout` (fields, tenant default), `/other/checkout` (tenant other), `/upload/` (no fields);
    outbound `/gateway/` for application `shop` and `foreign`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gateway.key").write_text(GATEWAY_SECRET)
    config = folder / "panless.toml"
    config.write_text(f"""\
data_dir = "{data_dir}"
{head}
[listen]
inbound  = {{ bind = "127.0.0.1:0" }}
outbound = {{ bind = "127.0.0.1:0" }}
admin    = {{ bind = "127.0.0.1:0" }}

[[inbound]]
name     = "checkout"
path     = "/checkout"
methods  = ["POST"]
upstream = "{app_url}"
fields   = {CARD_FIELDS}

[[inbound]]
name     = "other-checkout"
path     = "/other/checkout"
upstream = "{app_url}"
tenant   = "other"
fields   = {CARD_FIELDS}

[[inbound]]
name     = "upload"
path     = "/upload/"
upstream = "{app_url}/files/"

[[outbound]]
name       = "gateway"
path       = "/gateway/"
upstream   = "{gateway_url}/v1/"
apps       = ["shop", "foreign"]
credential = {{ slots = ["bearer", "basic"], secret = "file:gateway.key" }}
fields     = {CARD_FIELDS}
{extra}
""")
    return config
