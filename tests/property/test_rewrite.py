"""Promises of the rewriting engine, against json.loads and parse_qsl as references."""

import json
import re
from urllib.parse import parse_qsl, quote_plus

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from proxy.rewrite.errors import BodyRejected, DuplicateKey
from proxy.rewrite.fields import Field
from proxy.rewrite.media import BodyType
from proxy.rewrite.plan import Plan
from proxy.rewrite.selectors import Selector
from tests.harness.bodies import fill, find_in
from vault.exposure import expose

SELECTORS = [
    "$.card.number", "$..number", "$.*.number", "$.card[0]", "$.card[*].number", "$..card['number','cvc']", "$.é",
]  # fmt: skip
quick = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
selectors = st.sampled_from(SELECTORS)
texts = st.text(st.characters(codec="utf-8"), max_size=8)
tokens = st.one_of(st.just("tok_01h455vb4pex5vsknk084sn02q"), texts)
keys = st.one_of(st.sampled_from(["card", "number", "cvc", "é", "a", "0"]), st.sampled_from(["card", "number"]), texts)
spaces = st.text(" \t\r\n", max_size=2)


def fields(selector: str) -> list[Field]:
    return [Field(Selector.parse(selector), "pan")]


def check_spans(body: bytes, plan: Plan, filled: bytes) -> None:
    """Outside the spans, every byte is as it was."""
    rest = [piece.data for piece in plan.remainder()]
    at = 0
    for piece in rest:
        found = filled.find(piece, at) if at else 0
        assert filled[found : found + len(piece)] == piece
        at = found + len(piece)
    assert b"".join(rest) == b"".join(
        body[start:end]
        for start, end in zip(
            [0, *(match.end for match in plan.matches)],
            [*(match.start for match in plan.matches), len(body)],
            strict=True,
        )
    )


# JSON


@st.composite
def written_strings(draw, text):
    """A JSON string that means `text`, each character plain or escaped in some way."""
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    return draw(st.sampled_from([plain, json.dumps(text)[1:-1], "".join(map(escaped, text))])).join('""')


def escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2))


@st.composite
def members(draw, values):
    name = draw(written_strings(draw(keys)))
    return f"{draw(spaces)}{name}{draw(spaces)}:{draw(spaces)}{draw(values)}{draw(spaces)}"


scalars = st.one_of(
    texts.flatmap(written_strings),
    st.sampled_from(["null", "true", "0", "-1.10", "1e2", "12345678901234567890123", "[]", "{}", '"\\ud800"']),
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(members(inner), max_size=5).map(lambda items: "{" + ",".join(items) + "}"),
        st.lists(inner, max_size=4).map(lambda items: "[" + " ,\n".join(items) + "]"),
    ),
    max_leaves=15,
)


class Pairs(list):
    """An object as json.loads saw it, duplicates and all."""


def reference(body: bytes) -> object:
    return json.loads(body, object_pairs_hook=Pairs)


def leaves(tree: object, path: tuple = ()):
    """Every path with its value."""
    yield path, tree
    if isinstance(tree, list):
        items = tree if isinstance(tree, Pairs) else enumerate(tree)
        for key, value in items:
            yield from leaves(value, (*path, key))


def is_selected(selector: str, path: tuple) -> bool:
    return {
        "$.card.number": path == ("card", "number"),
        "$..number": path[-1:] == ("number",),
        "$.*.number": len(path) == 2 and path[-1] == "number",
        "$.card[0]": path == ("card", 0),
        "$.card[*].number": len(path) == 3 and path[0] == "card" and path[2] == "number",
        "$..card['number','cvc']": path[-2:] in {("card", "number"), ("card", "cvc")},
        "$.é": path == ("é",),
    }[selector]


def agrees(body: bytes, selector: str, plan: Plan) -> bool:
    expected = [
        (path, str(value))
        for path, value in leaves(reference(body))
        if is_selected(selector, path) and value is not None
    ]
    return [(match.path, expose(match.value)) for match in plan.matches] == expected


@quick
@given(documents, selectors, st.data())
def test_json_bodies(document, selector, data):
    body = document.encode()
    try:
        plan = find_in(body, BodyType.JSON, fields(selector))
    except BodyRejected as refusal:
        check_refusal(body, selector, refusal)
        return
    assert agrees(body, selector, plan)
    new = data.draw(st.lists(tokens, min_size=len(plan.matches), max_size=len(plan.matches)))
    filled = fill(plan, new)
    check_spans(body, plan, filled)
    replaced = dict(zip([match.path for match in plan.matches], new, strict=True))
    before, after = list(leaves(reference(body))), list(leaves(reference(filled)))
    assert [path for path, _ in before] == [path for path, _ in after]
    for (path, old), (_, now) in zip(before, after, strict=True):
        assert isinstance(old, list) or now == (old if old is None else replaced.get(path, old))
    again = find_in(filled, BodyType.JSON, fields(selector))
    back = fill(again, [match.value for match in plan.matches])
    assert [path for path, _ in leaves(reference(back))] == [path for path, _ in before]
    if all(body[match.start : match.end] == plain(expose(match.value)) for match in plan.matches):
        assert back == body


def plain(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def check_refusal(body: bytes, selector: str, refusal: BodyRejected) -> None:
    """A valid document is refused only for a duplicate, or for a selected value that is no text."""
    tree = list(leaves(reference(body)))
    if isinstance(refusal, DuplicateKey):
        assert len({path for path, _ in tree}) < len(tree)
        return
    strange = [value for path, value in tree if is_selected(selector, path) and not isinstance(value, str | None)]
    assert strange or any(value == "\ud800" for _, value in tree if isinstance(value, str))


# Forms


@st.composite
def percent_encoded(draw, text):
    little = "".join(f"%{ord(character):02x}" if character in "%&=+;" else character for character in text)
    usual = quote_plus(text)
    everything = "".join(f"%{byte:02X}" for byte in text.encode())
    return draw(st.sampled_from([little, usual, usual.replace("+", "%20"), everything]))


form_keys = st.one_of(
    st.lists(st.sampled_from(["card", "number", "cvc", "é", "a", "0", "x y"]), min_size=1, max_size=4).map(
        lambda names: names[0] + "".join(f"[{name}]" for name in names[1:])
    ),
    st.sampled_from(["card[number]", "card[number]", "number", "a[number]", "card[0]", "card[0][number]", "é"]),
    st.text("card[]. é=;%number", max_size=12),
    texts,
)
pairs = st.tuples(form_keys.flatmap(percent_encoded), texts.flatmap(percent_encoded)).map("=".join)
forms = st.lists(st.one_of(pairs, st.sampled_from(["", "x", "a=1;b=2", "y=%zz"])), max_size=6).map("&".join)


def form_path(key: str) -> tuple:
    """The path of a key; one that is not well-formed is a name."""
    name, *rest = key.split("[")
    if not name or "]" in name or not all(part.count("]") == 1 and part.endswith("]") for part in rest):
        return (key,)
    parts = [part[:-1] for part in rest]
    return (name, *(int(part) if re.fullmatch("0|[1-9][0-9]*", part) else part for part in parts))


@quick
@given(forms, selectors, st.data())
def test_form_bodies(form, selector, data):
    body = form.encode()
    try:
        plan = find_in(body, BodyType.FORM, fields(selector))
    except BodyRejected:
        return
    parsed = parse_qsl(form, keep_blank_values=True)
    assume(not any("[]" in key for key, _ in parsed))
    expected = [value for key, value in parsed if is_selected(selector, form_path(key))]
    assert [expose(match.value) for match in plan.matches] == expected
    new = data.draw(st.lists(tokens, min_size=len(plan.matches), max_size=len(plan.matches)))
    filled = fill(plan, new)
    check_spans(body, plan, filled)
    queue = iter(new)
    wanted = [(key, next(queue) if is_selected(selector, form_path(key)) else value) for key, value in parsed]
    assert parse_qsl(filled.decode(), keep_blank_values=True) == wanted
    back = fill(find_in(filled, BodyType.FORM, fields(selector)), [match.value for match in plan.matches])
    assert parse_qsl(back.decode(), keep_blank_values=True) == parsed
    if all(body[m.start : m.end] == quote_plus(expose(m.value), safe="*").encode() for m in plan.matches):
        assert back == body


# Anything


fragments = st.lists(
    st.one_of(
        st.sampled_from(
            [b'"', b"{", b"}", b"[", b"]", b":", b",", b"\\u00", b"\\", b'{"card":', b'"number":"', b"NaN"]
        ),
        st.sampled_from(
            [b"number", b"card", b"card[number]", b"=", b"&", b";", b"%5B", b"%", b"[]", b"+", b".", b"\0"]
        ),
        st.binary(max_size=3),
    ),
    max_size=14,
).map(b"".join)


@settings(quick, max_examples=1200)
@given(st.one_of(fragments, st.binary()), st.sampled_from(BodyType), selectors)
def test_any_bytes_give_a_plan_or_a_refusal(body, body_type, selector):
    try:
        plan = find_in(body, body_type, fields(selector))
    except BodyRejected as error:
        refusal = error
    else:
        refusal = None
    if refusal is not None:
        assert refusal.__context__ is None
        assert refusal.__cause__ is None
        return
    assert b"".join(piece.data for piece in plan.remainder()) == body or plan.matches
    if body_type is BodyType.JSON:
        json.loads(body.removeprefix(b"\xef\xbb\xbf"), parse_constant=lambda _: 1 / 0)


@settings(quick, max_examples=600)
@given(fragments)
def test_json_is_valid_exactly_when_the_reference_says_so(body):
    try:
        json.loads(body.decode(), parse_constant=int)
        valid = True
    except ValueError:
        valid = False
    try:
        find_in(body, BodyType.JSON, fields("$.zzz"))
        accepted = True
    except BodyRejected:
        accepted = False
    assert accepted == valid or body.startswith(b"\xef\xbb\xbf")
