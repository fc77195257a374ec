import pytest

from proxy.rewrite.errors import SelectorInvalid
from proxy.rewrite.selectors import Automaton, Selector, State, Where


def walk(selector: str, *path: str | int) -> State | None:
    state: State | None = Automaton((Selector.parse(selector),)).start()
    for key in path:
        if state is None:
            return None
        state.open()
        state = state.by_name(key) if isinstance(key, str) else state.indexes.get(key, state.other_index)
    return state


def selects(selector: str, *path: str | int) -> bool:
    state = walk(selector, *path)
    return state is not None and bool(state.accepts)


@pytest.mark.parametrize(
    ("selector", "path"),
    [
        ("$.card.number", ("card", "number")),
        ("$['card number']", ("card number",)),
        ("$['\\u0063ard']", ("card",)),
        ("$.cards[0].number", ("cards", 0, "number")),
        ("$.cards[*].number", ("cards", 7, "number")),
        ("$.*.number", ("card", "number")),
        ("$..number", ("number",)),
        ("$..number", ("a", 3, "b", "number")),
        ("$..number", ("number", "number")),
        ("$.a..b.c", ("a", "b", "b", "c")),
        ("$['a','b',0]", ("b",)),
        ("$['a','b',0]", (0,)),
        ("$..*", ("a", 0)),
        ("$..[1]", ("a", 1)),
    ],
)
def test_selects(selector, path):
    assert selects(selector, *path)


@pytest.mark.parametrize(
    ("selector", "path"),
    [
        ("$.card.number", ("card",)),
        ("$.card.number", ("card", "Number")),
        ("$.card.number", ("card", "number", "x")),
        ("$.cards[0]", ("cards", "0")),
        ("$['0']", (0,)),
        ("$.a..b.c", ("a", "b", "x", "c")),
        ("$..number", ("numbers",)),
        ("$.*", ("a", "b")),
    ],
)
def test_does_not_select(selector, path):
    assert not selects(selector, *path)


def test_no_state_below_what_no_selector_can_enter():
    assert walk("$.card.number", "customer") is None
    assert walk("$.card.number", "card", "number").enterable is False
    assert walk("$..number", "anything", "at", "all").enterable


def test_a_bracket_number_is_name_and_index():
    start = Automaton((Selector.parse("$['0']"), Selector.parse("$[0]"), Selector.parse("$[1]"))).start()
    assert start.by_name_or_index("0", 0).accepts == (0, 1)
    assert start.by_name_or_index("2", 2) is None
    assert start.by_any_index().accepts == (1, 2)


def test_what_may_be_an_element_of_a_list():
    start = Automaton((Selector.parse("$.a"), Selector.parse("$.a[1]"), Selector.parse("$.a[*].b"))).start()
    named = start.by_name("a")
    assert named.or_element(0).accepts == (0,)
    assert named.or_element(1).accepts == (0, 1)
    assert named.or_element(2) is named.or_element(7)
    assert named.or_element(2).by_name("b").accepts == (2,)
    assert start.or_element(0) is start


@pytest.mark.parametrize(
    ("selector", "expected"),
    [("$.a", False), ("$.a.b", False), ("$..a", False), ("$.a[0]", True), ("$.a[*].b", True), ("$.a..b", True),
     ("$['a','b'].c", False), ("$.b", True), ("$.*", True), ("$..*", True), ("$.a['0']", False), ("$['@a']", True)],
)  # fmt: skip
def test_what_may_repeat(selector, expected):
    assert Automaton((Selector.parse(selector),)).start().may_repeat("a") is expected
    both = Automaton((Selector.parse(selector), Selector.parse("$.a"))).start()
    assert both.may_repeat("a") is False


@pytest.mark.parametrize(
    "text",
    ["", "$", "card", "$.a[-1]", "$.a[1:2]", "$.a[::1]", "$.a[?@.b]", "$.a | $.b", "$[~'a']", "$.a ", "$.a[00]",
     "$.a[", "$.a.@b", "query:", "query:a[", "query:a.b", "query:a[]", "header:", "header:X Pan", "header:é",
     "$['\\ud800']", "$" + ".a" * 129, "$[:2e22]", "$[" + "9" * 5000 + "]", "$" + "[?(" * 2000],
)  # fmt: skip
def test_refuses(text):
    with pytest.raises(SelectorInvalid, match="names") as caught:
        Selector.parse(text)
    assert isinstance(caught.value, ValueError)
    assert caught.value.__context__ is None


def test_outside_the_body_there_are_the_query_and_the_headers():
    assert Selector.parse("query:card[number]").where is Where.QUERY
    header = Selector.parse("header:X-Pan")
    assert (header.where, header.header, str(header)) == (Where.HEADER, "x-pan", "header:X-Pan")
    assert Selector.parse("$.query").where is Where.BODY


def test_text_and_equality():
    one, same, other = (Selector.parse(text) for text in ("$.a.b", "$.a.b", "$.a.c"))
    assert str(one) == "$.a.b"
    assert one == same
    assert hash(one) == hash(same)
    assert one != other


def test_memory_is_bounded():
    """Wildcards after `..` have exponentially many sets of positions; a body decides which of them come up."""
    machine = Automaton((Selector.parse("$..a" + ".*" * 14),))
    for bits in range(1 << 13):
        state = machine.start()
        for bit in range(13):
            state = state.by_name("ab"[bits >> bit & 1])
    machine.start()
    assert len(machine._states) <= 1100
