"""Bodies of the rows: a card among other things, in JSON, as a form and in XML, of about a given size."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from functools import cache

from tests.harness.gateways import STRIPE_SECRET

PLACE = "@@@@"
SIZES = {"200 B": 200, "10 KB": 10_000, "1 MB": 1_000_000}
TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded", "xml": "application/xml"}
_HOLDER = {"number": PLACE, "holder": "J. Smith"}
_LINE = {"sku": "A-1000", "name": "a plain thing", "price": "12.50", "count": "2"}


def _json(lines: int, filler: str) -> str:
    return json.dumps({"order": filler, "card": _HOLDER, "lines": [_LINE] * lines})


def _form(lines: int, filler: str) -> str:
    pairs = [f"order={filler}", *(f"card[{name}]={text.replace(' ', '+')}" for name, text in _HOLDER.items())]
    pairs += [f"lines[{n}][{name}]={text.replace(' ', '+')}" for n in range(lines) for name, text in _LINE.items()]
    return "&".join(pairs)


def _xml(lines: int, filler: str) -> str:
    line = "".join(f"<{name}>{text}</{name}>" for name, text in _LINE.items())
    card = "".join(f"<{name}>{text}</{name}>" for name, text in _HOLDER.items())
    return f"<order><id>{filler}</id><card>{card}</card><lines>{f'<line>{line}</line>' * lines}</lines></order>"


_MAKERS = {"json": _json, "form": _form, "xml": _xml}


@cache
def template(kind: str = "json", size: int = 200) -> bytes:
    """A body of about `size` bytes; the number goes where PLACE stands."""
    make = _MAKERS[kind]
    empty, fifty = len(make(0, "")), len(make(50, ""))
    lines = 50 * (size - empty - 50) // (fifty - empty) if size > 1000 else 0
    return make(lines, "x" * max(1, size - len(make(lines, "")) - 12)).encode()


def with_number(body: bytes, number: str) -> bytes:
    return body.replace(PLACE.encode(), number.encode(), 1)


def post(path: str, body: bytes, headers: str = "", media: str = TYPES["json"]) -> bytes:
    """A whole request. `headers`: lines that end with CR LF."""
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {media}\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def luhn(body: str) -> str:
    """Digits with their check digit behind."""
    total = sum(int(d) if n % 2 else sum(divmod(2 * int(d), 10)) for n, d in enumerate(reversed(body)))
    return body + str(-total % 10)


class Numbers:
    """Card numbers that nobody has: a test prefix and a counter, of which each run has another part."""

    def __init__(self, prefix: str = "400000") -> None:
        self._prefix = prefix
        self._next = time.time_ns() % 10**8

    def new(self) -> str:
        self._next += 1
        return luhn(f"{self._prefix}{self._next % 10**9:09}")


def event(number: int) -> bytes:
    """A gateway's event of about 200 bytes."""
    thing = {"id": f"ch_{number}", "object": "charge", "amount": 1999, "currency": "eur", "status": "succeeded"}
    return json.dumps(
        {"id": f"evt_{number}", "object": "event", "type": "charge.succeeded", "data": {"object": thing}}
    ).encode()


def signature(body: bytes) -> str:
    """The header that a Stripe puts on it."""
    at = int(time.time())
    signed = hmac.digest(STRIPE_SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hex()
    return f"Stripe-Signature: t={at},v1={signed}\r\n"
