"""Documents of several shapes, which know where each of their values stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

from tests.guard_corpus.cards import FORMS, RAW, card
from tests.guard_corpus.numbers import NUMBERS

_NAMES = ["id", "ref", "order", "created", "note", "device", "tracking", "account", "total", "token", "data", "client"]
_WORDS = ["paid", "shipped to", "refund for", "customer", "retry of", "see", "from", "call", "seen at", "status ok"]


@dataclass(frozen=True)
class Value:
    """What stands in a document: its class or, for a card, its written form. `raw`: it is not encoded again."""

    label: str
    text: str
    is_card: bool = False
    raw: bool = False


@dataclass
class Document:
    """Text with the places of its values; `card` is the written form of the card in it."""

    text: bytearray = field(default_factory=bytearray)
    places: list[tuple[int, int, Value]] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.text += text.encode()

    def put(self, value: Value, encode: Callable[[str], str]) -> None:
        start = len(self.text)
        self.add(value.text if value.raw else encode(value.text))
        self.places.append((start, len(self.text), value))


def document(random: Random, *, with_card: bool) -> Document:
    """Make a document of 6 to 20 values."""
    labels = random.choices(list(NUMBERS), k=random.randint(6, 20))
    values = [Value(label, NUMBERS[label](random)) for label in labels]
    if with_card:
        values.insert(random.randint(0, len(values)), _card(random))
    made = Document()
    random.choice(_SHAPES)(random, values, made)
    return made


def _card(random: Random) -> Value:
    label = random.choice([*FORMS, *RAW])
    return Value(label, (FORMS | RAW)[label](card(random)), is_card=True, raw=label in RAW)


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and not text.startswith("0")


def _flat_json(random: Random, values: Sequence[Value], made: Document) -> None:
    compact = random.random() < 0.5
    made.add("{")
    for number, value in enumerate(values):
        made.add(
            ("," if compact else ", ") * (number > 0) + f'"{random.choice(_NAMES)}_{number}":' + " " * (not compact)
        )
        _json_value(random, value, made)
    made.add("}")


def _json_value(random: Random, value: Value, made: Document) -> None:
    quote = "" if _is_number(value.text) and random.random() < 0.5 else '"'
    made.add(quote)
    made.put(value, _in_json)
    made.add(quote)


def _json_list(random: Random, values: Sequence[Value], made: Document) -> None:
    made.add('{"items": [')
    for number, value in enumerate(values):
        made.add("," * (number > 0) + f'\n    {{"n": {number}, "amount": {random.randint(1, 10**6)}, "value": ')
        _json_value(random, value, made)
        made.add("}")
    made.add("]}")


def _json_array(random: Random, values: Sequence[Value], made: Document) -> None:
    made.add("[")
    for number, value in enumerate(values):
        made.add("," * (number > 0))
        _json_value(random, value, made)
    made.add("]")


def _form(random: Random, values: Sequence[Value], made: Document) -> None:
    for number, value in enumerate(values):
        made.add("&" * (number > 0) + f"{random.choice(_NAMES)}[{number}]=")
        made.put(value, quote_plus)


def _query(random: Random, values: Sequence[Value], made: Document) -> None:
    made.add(f"/v1/{random.choice(_NAMES)}/{random.randint(1, 10**6)}?")
    _form(random, values, made)


def _log(random: Random, values: Sequence[Value], made: Document) -> None:
    for value in values:
        made.add(f"2026-11-22 10:00:{random.randint(0, 59):02} INFO {random.choice(_WORDS)} ")
        made.put(value, str)
        made.add(random.choice(["\n", f" in {random.randint(1, 900)} ms\n", f", {random.choice(_WORDS)}\n"]))


def _prose(random: Random, values: Sequence[Value], made: Document) -> None:
    for value in values:
        made.add(f"{random.choice(_WORDS)} ")
        made.put(value, str)
        made.add(random.choice([" ", ", ", ". ", "; "]))


def _xml(random: Random, values: Sequence[Value], made: Document) -> None:
    made.add("<list>")
    for value in values:
        name = random.choice(_NAMES)
        if random.random() < 0.3:
            made.add(f'<{name} value="')
            made.put(value, lambda text: escape(text, {'"': "&quot;"}))
            made.add('"/>')
        else:
            made.add(f"<{name}>")
            made.put(value, escape)
            made.add(f"</{name}>")
    made.add("</list>")


_SHAPES = (_flat_json, _json_list, _json_array, _form, _query, _log, _prose, _xml)
