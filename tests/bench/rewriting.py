"""What rewriting costs: microseconds per KiB of body to find and replace a card and its code, by type and size.

In this process alone: no network, no vault. The guard's search of the rest is a row of its own.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from proxy.guard.leaks import leaks
from proxy.rewrite.fields import Field, Fields
from proxy.rewrite.media import BodyType, Media
from proxy.rewrite.message import Message
from proxy.rewrite.plan import find
from proxy.rewrite.selectors import Selector

SIZES = {"200 B": 200, "10 KiB": 10 * 1024, "1 MiB": 1024 * 1024}
ROUNDS = 9
TOKENS = ("tok_01h455vb4pex5vsknk084sn02q", "cvc_01h455vb4pex5vsknk084sn02q")
_NUMBER, _CODE = Selector.parse("$.order.card.number"), Selector.parse("$.order.card.cvc")
FIELDS = Fields([Field(_NUMBER, "pan"), Field(_CODE, "cvc", _NUMBER)])
_CARD = {"number": "4242424242424242", "cvc": "123"}
_LINE = {"sku": "A-1000", "name": "a plain thing", "price": "12.50", "count": "2"}


def _json(lines: int) -> bytes:
    return json.dumps({"order": {"card": _CARD, "lines": [_LINE] * lines}}).encode()


def _form(lines: int) -> bytes:
    pairs = [f"order[card][{name}]={value}" for name, value in _CARD.items()]
    pairs += [f"lines[{n}][{name}]={value.replace(' ', '+')}" for n in range(lines) for name, value in _LINE.items()]
    return "&".join(pairs).encode()


def _xml(lines: int) -> bytes:
    line = "".join(f"<{name}>{value}</{name}>" for name, value in _LINE.items())
    card = "".join(f"<{name}>{value}</{name}>" for name, value in _CARD.items())
    return f"<order><card>{card}</card><lines>{f'<line>{line}</line>' * lines}</lines></order>".encode()


def _multipart(lines: int) -> bytes:
    parts = [(f"order[card][{name}]", value) for name, value in _CARD.items()]
    parts.append(("lines", json.dumps([_LINE] * lines)))
    head = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    return ("".join("--b\r\n" + head.format(*part) for part in parts) + "--b--\r\n").encode()


BODIES: dict[BodyType, Callable[[int], bytes]] = {
    BodyType.JSON: _json,
    BodyType.FORM: _form,
    BodyType.XML: _xml,
    BodyType.MULTIPART: _multipart,
}


def _message(body_type: BodyType, size: int) -> Message:
    """Return a message whose body has about `size` bytes, within what the type's limits allow."""
    make = BODIES[body_type]
    each = len(make(2)) - len(make(1))
    lines = max(0, (size - len(make(0))) // each)
    if body_type is BodyType.FORM:
        lines = min(lines, 2400)
    return Message(make(lines), Media(body_type, None, b"b" if body_type is BodyType.MULTIPART else b""))


def _median_us(work: Callable[[], object], size: int) -> float:
    repeats = max(1, 200_000 // (size + 2000))
    times = []
    for _ in range(ROUNDS):
        begin = time.process_time_ns()
        for _ in range(repeats):
            work()
        times.append((time.process_time_ns() - begin) / repeats / 1000)
    return statistics.median(times)


def measure() -> list[dict[str, object]]:
    """Measure all, print a table, and return its rows."""
    table = Table(title="rewriting: find and replace a card and its code; and the guard", title_justify="left")
    for column in ("body", "bytes", "rewrite µs", "µs/KiB", "guard µs", "µs/KiB"):
        table.add_column(column)
    rows: list[dict[str, object]] = []
    for body_type in BODIES:
        for name, size in SIZES.items():
            message = _message(body_type, size)
            length = len(message.body)
            rewrite = _median_us(lambda message=message: find(message, FIELDS).fill(TOKENS), length)
            plan = find(message, FIELDS)
            guard = _median_us(lambda plan=plan: leaks(plan), length)
            row = {
                "name": f"{body_type.name.lower()} {name}",
                "bytes": length,
                "rewrite_us": round(rewrite, 1),
                "rewrite_us_per_kib": round(rewrite / length * 1024, 2),
                "guard_us": round(guard, 1),
                "guard_us_per_kib": round(guard / length * 1024, 2),
            }
            rows.append(row)
            table.add_row(*map(str, row.values()))
    Console().print(table)
    return rows


if __name__ == "__main__":
    measure()
