"""Steps make no difference but of time: what they step over, or look up, is what is found without them."""

from __future__ import annotations

import random

import pytest

from proxy.rewrite import form
from proxy.rewrite.errors import BodyRejected
from proxy.rewrite.form_steps import over_pairs, selected_keys
from proxy.rewrite.selectors import Automaton, Selector
from vault.exposure import expose

SELECTORS = ["$.card.number", "$['card','a-b']['number','cvc']", "$..number", "$.card[0]", "$.é", "$.card"]
NAMES = ["card", "card", "number", "cvc", "card2", "a-b", "0", "x", "é", ""]
VALUES = ["1", "4242+42", "%34", "%zz", "x]=y", "a;card[number]=1", "é", "a=b", ""]


def _start(*selectors: str):
    return Automaton(tuple(map(Selector.parse, selectors))).start()


def _form(source: random.Random) -> bytes:
    keys = []
    for _ in range(source.choice([1, 2, 3, 5, 90])):
        key = source.choice(NAMES) + "".join(f"[{source.choice(NAMES)}]" for _ in range(source.choice([0, 0, 1, 1, 2])))
        odd = [key.replace("[", "%5B").replace("]", "%5D"), key.replace("[", "."), key[:-1], key + "]"]
        keys.append(source.choice([key] * 8 + odd) if len(keys) < 4 else f"x{len(keys)}[card]")
    return "&".join(f"{key}={source.choice(VALUES[:2] * 6 + VALUES)}" for key in keys).encode()


def _found(body: bytes, selector: str) -> object:
    try:
        places = form.scan(body, _start(selector))
    except BodyRejected as refusal:
        return type(refusal), refusal.ids
    return [(each.path, each.start, each.end, expose(each.value)) for each in places]


@pytest.mark.parametrize("selector", SELECTORS)
def test_without_steps_the_same_is_found_and_refused(selector, monkeypatch):
    source = random.Random(selector)  # noqa: S311
    bodies = [_form(source) for _ in range(600)]
    found = [_found(body, selector) for body in bodies]
    monkeypatch.setattr(form, "over_pairs", lambda _start: None)
    monkeypatch.setattr(form, "selected_keys", lambda _start: {})
    assert [_found(body, selector) for body in bodies] == found
    assert any(isinstance(each, list) and each for each in found)
    assert any(isinstance(each, tuple) for each in found)


def test_pairs_that_nothing_can_enter_are_stepped_over():
    over = over_pairs(_start("$.card.number"))
    for body, end in (
        (b"a=1&b[c][]=2&card[number]=3", 13), (b"card2=1&cards[number]=2", 23), (b"card=1", 0), (b"a&b=1", 0),
        (b"a=1;card=2", 0), (b"a=x]=y", 0), (b"card%5Bnumber%5D=1", 0), (b"a.b=1", 0), (b"a=1&[x]=2", 4),
    ):  # fmt: skip
        assert over(body, 0).end() == end, body
    assert over_pairs(_start("$..number")) is None
    assert over_pairs(_start("$.*.number")) is None


def test_keys_are_looked_up_where_all_their_levels_are_named():
    keys = selected_keys(_start("$.card['number','cvc']", "$.a[0].b", "$.x..y", "$.z.*", "$.é.b", "$.b['0']"))
    assert {key: path for key, (_, path) in keys.items()} == {
        b"card[number]": ("card", "number"),
        b"card[cvc]": ("card", "cvc"),
    }
    names = ",".join(f"'n{number}'" for number in range(50))
    assert len(selected_keys(_start(f"$[{names}][{names}][{names}]"))) <= 1000


def test_a_key_that_is_looked_up_contradicts_others_all_the_same():
    for other in (b"card[number]=2", b"card%5Bnumber%5D=2", b"card[number][x]=2", b"card.number=2"):
        assert isinstance(_found(b"card[number]=1&" + other, "$.card.number"), tuple)
        assert isinstance(_found(other + b"&card[number]=1", "$.card.number"), tuple)
    assert isinstance(_found(b"card[number]", "$.card.number"), tuple)
    assert isinstance(_found(b"card[number]=1&card[][number]=2", "$.card.number"), tuple)
