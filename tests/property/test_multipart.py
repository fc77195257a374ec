"""Promises of the multipart scanner, against the readers of email and aiohttp as references."""

import asyncio
import json as reference_json
from email import message_from_bytes
from email.policy import HTTP
from unittest import mock

import aiohttp
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from proxy.rewrite import form, json, multipart, multipart_parts, xml
from proxy.rewrite.errors import BodyRejected
from proxy.rewrite.media import BodyType
from proxy.rewrite.multipart_names import name_of
from proxy.rewrite.places import Place
from proxy.rewrite.selectors import Automaton, Selector
from vault.exposure import expose

SCANNERS = {BodyType.JSON: json.scan, BodyType.FORM: form.scan, BodyType.XML: xml.scan}
quick = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
BOUNDARY = "b-0'="
SELECTED = {
    "$.number": {"number"},
    "$.card.number": {"card[number]"},
    "$.card[0]": {"card[0]"},
    "$..number": {"number", "card[number]", "card[0][number]"},
    "$['x y']": {"x y"},
}
selectors = st.sampled_from(sorted(SELECTED))
# A text in quotes is JSON to the reference below, whatever its part says.
texts = st.text("42 -b'=\r\n\té😀\"", max_size=8).filter(
    lambda text: not (text.startswith('"') and is_json(text.encode()))
)
tokens = st.one_of(st.just("tok_01h455vb4pex5vsknk084sn02q"), texts)
names = st.sampled_from(["number", "card[number]", "card[0]", "card[0][number]", "x y", "é", "a", "b", "c.d", 'e\\"'])
types = st.sampled_from([None, "text/plain", "text/plain; charset=utf-8", "image/png", "application/json"])


@st.composite
def parts(draw):
    """A part with its header fields in some order and style."""
    name, content_type = draw(names), draw(types)
    disposition = f'{draw(st.sampled_from(["Content-Disposition", "content-disposition"]))}: form-data; name="{name}"'
    if draw(st.booleans()) and content_type == "image/png":
        disposition += '; filename="number.png"'
    fields = [disposition, *([f"Content-Type: {content_type}"] if content_type else []), "X-Y: z"]
    content = draw(texts)
    if content_type == "application/json":
        content = reference_json.dumps(draw(st.one_of(texts, st.dictionaries(st.just("number"), texts))))
    return "\r\n".join([*draw(st.permutations(fields)), "", content])


@st.composite
def bodies(draw):
    delimiter = f"--{BOUNDARY}"
    inner = "".join(f"{delimiter}\r\n{part}\r\n" for part in draw(st.lists(parts(), max_size=4)))
    return f"{inner}{delimiter}--{draw(st.sampled_from(['', chr(13) + chr(10)]))}".encode()


def scan(body: bytes, selector: str) -> list[Place]:
    start = Automaton((Selector.parse(selector),)).start()
    return multipart.scan(body, start, BOUNDARY.encode(), SCANNERS)


def fill(body: bytes, places: list[Place], new: list[str]) -> bytes:
    for place, text in reversed(list(zip(places, new, strict=True))):
        body = body[: place.start] + place.encode(text) + body[place.end :]
    return body


HEAD = f'multipart/form-data; boundary="{BOUNDARY}"'


def as_email(body: bytes) -> list[tuple[str, bytes]]:
    message = message_from_bytes(f"Content-Type: {HEAD}\r\n\r\n".encode() + body, policy=HTTP)
    return [
        (part["Content-Disposition"].params["name"], part.get_payload(decode=True))
        for part in (message.get_payload() if message.is_multipart() else [])
    ]


async def as_aiohttp(body: bytes) -> list[tuple[str, bytes]]:
    stream = aiohttp.StreamReader(mock.Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
    stream.feed_data(body)
    stream.feed_eof()
    reader = aiohttp.MultipartReader({"Content-Type": HEAD}, stream)
    found = []
    while (part := await reader.next()) is not None:
        found.append((part.name, bytes(await part.read())))
    return found


def selected(read: list[tuple[str, bytes]], selector: str) -> list[str]:
    """The selected values: whole parts, and the member of one in JSON."""
    found = []
    for name, content in read:
        value = reference_json.loads(content) if content[:1] in {b"{", b'"'} and is_json(content) else None
        if name in SELECTED[selector]:
            found.append(value if isinstance(value, str) else content.decode())
        elif selector == "$..number" and isinstance(value, dict):
            found += value.values()
    return found


def is_json(content: bytes) -> bool:
    try:
        reference_json.loads(content)
    except ValueError:
        return False
    return True


@quick
@given(bodies(), selectors, st.data())
def test_multipart_bodies(body, selector, data):
    try:
        places = scan(body, selector)
    except BodyRejected as refusal:
        event(type(refusal).__name__)
        return
    event(f"{len(places)} places")
    before = asyncio.run(as_aiohttp(body))
    values = [expose(place.value) for place in places]
    assert values == selected(before, selector)
    new = data.draw(st.lists(tokens, min_size=len(places), max_size=len(places)))
    filled = fill(body, places, new)
    after = asyncio.run(as_aiohttp(filled))
    assert selected(after, selector) == new
    assert [name for name, _ in after] == [name for name, _ in before]
    again = scan(filled, selector)
    assert [expose(place.value) for place in again] == new
    back = fill(filled, again, values)
    assert selected(asyncio.run(as_aiohttp(back)), selector) == values
    for one, now in zip(before, after, strict=True):
        assert one == now or selected([one], selector)
    if all(body[place.start : place.end] == place.encode(expose(place.value)) for place in places):
        assert back == body


@quick
@given(bodies())
def test_email_reads_the_same_parts(body):
    """Its reader takes bare CR and LF for line ends in places, so they are left out."""
    if any(each in body.replace(b"\r\n", b"") for each in (b"\r", b"\n")):
        return
    try:
        parts = list(multipart_parts.split(body, BOUNDARY.encode()))
    except BodyRejected:
        return
    found = [(name_of(part.fields["content-disposition"], 0).text, body[part.start : part.end]) for part in parts]
    assert as_email(body) == found


fragments = st.lists(
    st.one_of(
        st.sampled_from(
            [b"--", BOUNDARY.encode(), f"--{BOUNDARY}".encode(), f"--{BOUNDARY}\r\n".encode(), b"\r\n", b"\n", b"\r",
             b" ",             b"Content-Disposition: form-data; ", b'name="number"', b"name=",
             b'"', b";", b"filename=", b"\\", b"%22",
             b"Content-Type: application/json", b'{"number":"1"}', b"[", b"]", b"*=", b":", b"Content-Length: 1"]
        ),
        st.binary(max_size=2),
    ),
    max_size=10,
).map(b"".join)  # fmt: skip


@st.composite
def mutated(draw):
    body = bytearray(draw(bodies()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(fragments)
    return bytes(body)


@settings(quick, max_examples=1000)
@given(st.one_of(fragments, mutated(), st.binary()), selectors)
def test_any_bytes_give_places_or_a_refusal(body, selector):
    try:
        places = scan(body, selector)
    except BodyRejected as error:
        refusal = error
    else:
        assert len(scan(fill(body, places, ["tok"] * len(places)), selector)) == len(places)
        assert missed(body, places, selector) == []
        return
    assert refusal.__context__ is None
    assert refusal.__cause__ is None


def missed(body: bytes, places: list[Place], selector: str) -> list[str]:
    """The names of parts that aiohttp would take for selected ones, and that are no places or JSON."""
    try:
        read = asyncio.run(as_aiohttp(body))
    except (ValueError, AssertionError, LookupError, RuntimeError, TypeError):
        return []
    known = [body[place.start : place.end] for place in places]
    return [
        name for name, content in read if name in SELECTED[selector] and content not in known and not is_json(content)
    ]
