"""Steps make no difference but of time: what they step over or stop at is what is found without them."""

from __future__ import annotations

import random
import re

import pytest

from proxy.rewrite import json
from proxy.rewrite.errors import BodyRejected, BodyTooComplex, DuplicateKey
from proxy.rewrite.selectors import Automaton, Selector
from vault.exposure import expose

SELECTORS = ["$.card.number", "$.card['number','cvc']", "$..number", "$.*.number", "$.card[*].number", "$.é.number"]
NAMES = ['"card"', '"number"', '"cvc"', '"card2"', '"é"', '"a"', '"nu\\u006dber"', '"a b"', '""']
SCALARS = ['"v"', '"é"', '"a\\n"', '"}]"', "1", "-1.5e3", "null", "true", "[]", "{}", '"\\"{"', "01", "nul", '"x']


def _text(source: random.Random, depth: int = 0) -> str:
    """An object, nearly always well-formed."""
    space = source.choice(["", "", " ", "\n\t"])
    members = [
        f"{space}{source.choice(NAMES)}{space}:{space}"
        + (
            _text(source, depth + 1)
            if depth < 3 and source.random() < 0.5
            else source.choice(SCALARS[: -3 + depth // 3])
        )
        for _ in range(source.choice([0, 1, 2, 3, 4]))
    ]
    if not depth and source.random() < 0.2:  # more than one step can step over
        members[1:1] = [f'"x{number}":{number}' for number in range(source.choice([63, 64, 65, 200]))]
    written = "{" + source.choice([",", " ,"]).join(members) + space + "}"
    return (
        written if source.random() < 0.95 else written.replace(source.choice(',:{}"'), source.choice(["", ",", "}"]), 1)
    )


def _found(text: str, selector: str) -> object:
    try:
        places = json.scan(text.encode(), Automaton((Selector.parse(selector),)).start())
    except BodyRejected as refusal:
        return type(refusal), refusal.ids
    return [(each.path, each.start, each.end, expose(each.value)) for each in places]


@pytest.mark.parametrize("selector", SELECTORS)
def test_without_steps_the_same_is_found_and_refused(selector, monkeypatch):
    source = random.Random(selector)  # noqa: S311
    texts = [_text(source) for _ in range(400)]
    found = [_found(text, selector) for text in texts]
    nowhere = re.compile("").match, re.compile("(?:)").match
    monkeypatch.setattr(json, "steps", lambda _state: nowhere)
    assert [_found(text, selector) for text in texts] == found
    assert any(isinstance(each, list) and each for each in found)
    assert any(isinstance(each, tuple) for each in found)


@pytest.mark.parametrize("odd", ['"x": "a\\n"', '"x": [1, {"number": 2}]', '"x": {"card": {}}', '"\\u0061": 1'])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_a_member_is_found_behind_any_number_of_others(count, odd):
    others = [f'"x{number}" : {number}' for number in range(count)]
    text = '{"card": {' + ",".join([*others, odd, *others, '"number":"4"', odd]) + "}}"
    ((_, start, end, value),) = _found(text, "$.card.number")
    assert (text[start:end], value) == ('"4"', "4")
    repeated = text[:-2] + ',"nu\\u006dber":1}}'
    assert _found(repeated, "$.card.number") == (DuplicateKey, {"offset": len(text) - 1})


@pytest.mark.parametrize(
    "text", ["{,}", '{"a":1,}', '{,"a":1}', '{"a":1 "b":2}', '{"number":"1",}', '{"number":"1"]', '{"a":1{']
)
def test_what_stands_between_members_is_one_comma(text):
    assert isinstance(_found(text, "$.number"), tuple)
    assert isinstance(_found(text, "$.*"), tuple)


def test_names_that_begin_alike_are_told_apart():
    text = '{"number2":"a","numbe":"b","number":"c","number ":"d"}'
    assert [each[3] for each in _found(text, "$.number")] == ["c"]


def test_brackets_in_strings_are_no_levels():
    source = random.Random(7)  # noqa: S311
    for _ in range(3000):
        body = "".join(source.choices('[]{}""\\a', k=source.randrange(40))).encode()
        outside = re.sub(rb'"[^"]*(?:"|\Z)', b"", json.without_escaped_quotes(body))
        assert json._brackets(body) == bytes(each for each in outside if each in b"[]{}")
    deep = "[" * 128 + "]" * 128
    assert _found(deep, "$.number") == []
    assert _found('["[",' + '"]",' * 300 + deep[1:-1] + "]", "$.number") == []
    for text in ("[" + "[]," * 200 + deep + "]", "[" * 129, "[" * 127 + "{[", "[" * 126 + "[{[]}]"):
        assert _found(text, "$.number") == (BodyTooComplex, {"limit": 128})
