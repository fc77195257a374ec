"""A configuration with every way to guard a route, and to put a credential."""

from __future__ import annotations

FIELDS = """[
  { at = "$.card.number", kind = "pan" },
  { at = "$.card.cvc", kind = "cvc", of = "$.card.number" },
  { at = "$.pay.card.number", kind = "pan" },
  { at = "$.pay.card.cvc", kind = "cvc", of = "$.pay.card.number" },
  { at = "query:card", kind = "pan" },
  { at = "header:X-Card", kind = "pan" },
]"""

KINDS = """[
  { at = "$.expiry", kind = "expiry" }, { at = "$.name", kind = "cardholder_name" }, { at = "$.iban", kind = "iban" },
  { at = "$.account", kind = "bank_account" }, { at = "$.routing", kind = "routing_number" },
  { at = "$.text", kind = "text" }, { at = "$.cryptogram", kind = "cryptogram" },
  { at = "$.network", kind = "network_token" },
]"""

SHAPED = """[
  { at = "$.card.number", kind = "pan", token = "card" },
  { at = "$.card.cvc", kind = "cvc", of = "$.card.number", token = "card" },
  { at = "$.keeping", kind = "pan", token = "card", shape = { keep_bin = true, luhn = true, max_length = 16 } },
  { at = "$.plain", kind = "pan", token = "card", number = true },
]"""

SLOTS = {
    "bearer": "bearer",
    "basic": "basic",
    "password": "basic-password",
    "header": "header:X-Api-Key",
    "query": "query:key",
    "body": "$.apiKey",
    "always": "bearer",
}


def routes(app_url: str, gateway_url: str) -> str:
    """Inbound `/MODE` for each mode, `/except`, `/files/MODE/` without fields, `/kinds`, `/shaped`.

    Outbound `/gw-MODE/`, `/gw-kinds/`, `/gw-shaped/`, and `/slot-NAME/` for each of SLOTS.
    """
    return "".join([*_inbound(app_url), *_outbound(gateway_url)])


def _inbound(url: str) -> list[str]:
    made = [_route("inbound", f"in-{mode}", f"/{mode}", url, FIELDS, f'guard = "{mode}"') for mode in MODES]
    made += [_route("inbound", f"files-{mode}", f"/files/{mode}/", url, "[]", f'guard = "{mode}"') for mode in MODES]
    excepted = 'guard_except = ["$.order", "$..ids[*]", "query:order", "header:X-Order"]'
    made.append(_route("inbound", "in-except", "/except", url, FIELDS, excepted))
    made.append(_route("inbound", "in-kinds", "/kinds", url, KINDS, ""))
    made.append(_route("inbound", "in-shaped", "/shaped", url, SHAPED, ""))
    return made


def _outbound(url: str) -> list[str]:
    bearer = 'apps = ["shop"]\ncredential = { slots = ["bearer"], secret = "file:gateway.key" }'
    made = [_route("outbound", f"gw-{m}", f"/gw-{m}/", url, FIELDS, f'{bearer}\nguard = "{m}"') for m in MODES]
    made += [
        _route("outbound", "gw-kinds", "/gw-kinds/", url, KINDS, bearer),
        _route("outbound", "gw-shaped", "/gw-shaped/", url, SHAPED, bearer),
    ]
    for name, slot in SLOTS.items():
        always = ", always = true" if name == "always" else ""
        options = f'apps = ["shop"]\ncredential = {{ slots = ["{slot}"], secret = "file:gateway.key"{always} }}'
        made.append(_route("outbound", f"slot-{name}", f"/slot-{name}/", url, FIELDS, options))
    return made


MODES = ("refuse", "tokenize", "report")


def _route(way: str, name: str, path: str, url: str, fields: str, more: str) -> str:
    upstream = url + path
    return f'[[{way}]]\nname = "{name}"\npath = "{path}"\nupstream = "{upstream}"\nfields = {fields}\n{more}\n\n'
