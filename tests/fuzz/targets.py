"""What is fuzzed: every parser that reads what strangers send. A target takes any bytes and raises nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from proxy.edge.connect import parse_connect
from proxy.edge.kept import KeptRequest, pack_request, unpack_request
from proxy.errors import FieldsRequestInvalid, RequestError
from proxy.fields import submission
from proxy.fields.assets import assets
from proxy.fields.page import Frame, page
from proxy.guard.search import digits_of, search
from proxy.guard.stream import StreamSearch
from proxy.hosts import origin
from proxy.rewrite import form, form_keys, json, media, multipart, xml
from proxy.rewrite.errors import BodyRejected, SelectorInvalid, ValueNotText
from proxy.rewrite.media import BodyType
from proxy.rewrite.message import Message
from proxy.rewrite.places import Place
from proxy.rewrite.selectors import Automaton, Selector, State
from proxy.rewrite.xml_prolog import declared_encoding
from proxy.scrub.scrubber import Scrubber, Secret
from proxy.serving.request_reader import RequestReader
from proxy.upstream.answer_reader import AnswerMalformed, AnswerReader
from proxy.verifying.errors import WebhookRejected
from tests.harness.gateways import hook
from tests.harness.serving import Nobody
from tests.proxy.verifying.test_refusals import NOW, SCHEMES
from vault import field_sessions
from vault.errors import FieldSessionEnded, NotOfItsKind
from vault.sensitive import Sensitive

SEEDS = Path(__file__).parent / "seeds"
CAPTURES = Path(__file__).parents[1] / "captures"
BOUNDARY = b"b"
TOKEN = "tok_01h455vb4pex5vsknk084sn02q"
PAN = "4111111111111111"
MACHINES = tuple(
    Automaton((Selector.parse(text),))
    for text in (
        "$..number",
        "$.card.number",
        "$.cards[*].number",
        "$.cards[1].number",
        "$..card['@number']",
        "$.card.*",
    )
)
SCRUBBER = Scrubber([Secret(Sensitive(PAN), TOKEN), Secret(Sensitive("737"), "cvc_1")])


def fills(scan: Callable[[bytes, State], list[Place]], body: bytes) -> None:
    """Any bytes give places or a refusal; with tokens in all places, a body has as many places again."""
    for machine in MACHINES:
        try:
            places = scan(body, machine.start())
            filled = _filled(body, places)
        except BodyRejected as refusal:
            error = refusal
        else:
            assert len(scan(filled, machine.start())) == len(places)
            continue
        assert error.__context__ is None
        assert error.__cause__ is None


def _filled(body: bytes, places: list[Place]) -> bytes:
    for place in reversed(places):
        try:
            new = place.encode(TOKEN)
        except ValueNotText:
            new = body[place.start : place.end]
        body = body[: place.start] + new + body[place.end :]
    return body


def multipart_body(body: bytes, start: State) -> list[Place]:
    scanners = {BodyType.JSON: json.scan, BodyType.FORM: form.scan, BodyType.XML: xml.scan}
    return multipart.scan(body, start, BOUNDARY, scanners)


def content_type(data: bytes) -> None:
    found = media.parse(data.decode("latin-1"))
    assert found is None or len(found.boundary) <= 70
    declared_encoding(data)


def selector(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        parsed = Selector.parse(text)
    except SelectorInvalid as refusal:
        error = refusal
    else:
        assert str(parsed) == text
        Automaton((parsed,)).start().open().or_element(1)
        return
    assert error.__context__ is None


def key(data: bytes) -> None:
    anyhow = form_keys.decode_anyhow(data)
    assert all(isinstance(part, str) for parts in form_keys.other_readings(anyhow) for part in parts)
    try:
        decoded = form_keys.decode(data, 0)
    except BodyRejected:
        return
    assert decoded == anyhow


def scrubber(data: bytes) -> None:
    for is_json in (False, True):
        assert PAN.encode() not in SCRUBBER.clean(data, is_json=is_json)


def guard(data: bytes) -> None:
    """What is found lies in the data and looks like it; a stream says the same however it is cut, and is whole."""
    for start, end in search(data):
        assert 0 <= start < end <= len(data)
        assert 12 <= len(digits_of(data[start:end])) <= 21
    whole = StreamSearch()
    passed, found = whole.feed(data)
    rest, last = whole.end()
    assert passed + rest == data
    for size in (1, 7, 64) if len(data) < 256 else (64,):
        cut = StreamSearch()
        results = [cut.feed(data[at : at + size]) for at in range(0, len(data), size)] + [cut.end()]
        assert b"".join(piece for piece, _ in results) == data
        assert any(each for _, each in results) == (found or last)


def connect(data: bytes) -> None:
    with suppress(RequestError):
        parse_connect(data)


def fields(data: bytes) -> None:
    """What browsers hand in: a body, a session, the query of a frame, an origin. Read as what it is, or refused."""
    with suppress(FieldsRequestInvalid, NotOfItsKind):
        submission.read(data)
    text = data.decode("utf-8", "surrogateescape")
    with suppress(FieldSessionEnded):
        session, mac = field_sessions.read(text)
        assert len(session.raw) + len(mac) == len(session.origin.encode()) + 72
    with suppress(FieldsRequestInvalid):
        frame = Frame.read(text)
        assert page(frame, assets(), "nonce").count(b"<") == assets().frame.count("<")
    with suppress(ValueError):
        assert origin(origin(text)) == origin(text)


def webhook(data: bytes) -> None:
    """A webhook's headers and body, and the request that it is kept as: verified never, refused always, kept whole."""
    head, _, body = data.partition(b"\n\n")
    lines = [line.partition(": ") for line in head.decode("latin-1").splitlines()]
    headers = tuple((name, value) for name, _, value in lines)
    for scheme in SCHEMES.values():
        with suppress(WebhookRejected):
            scheme.verify(hook(headers, body, "/in"), NOW)
            raise AssertionError("somebody made up a webhook that verifies")
    kept = KeptRequest("POST", Message(body, None, "/in", "", headers))
    assert unpack_request(pack_request(kept)) == kept


def answer(data: bytes) -> None:
    """A gateway's answer, as it arrives: in one piece or byte by byte it is the same one, or malformed.

    In one piece, what comes behind it makes it malformed, too.
    """
    whole, pieces = _answer([data]), _answer([data[at : at + 1] for at in range(len(data))])
    assert whole is None or (pieces is not None and pieces[:-1] == whole[:-1])


def _answer(pieces: list[bytes]) -> tuple[object, ...] | None:
    reader = AnswerReader()
    reader.expect("GET")
    try:
        for piece in pieces:
            reader.feed(piece)
    except AnswerMalformed:
        return None
    is_whole = reader.end()
    return is_whole, reader.status, reader.reason, reader.headers, b"".join(reader.pieces), reader.is_reusable


def request(data: bytes) -> None:
    """Requests of a client, as they arrive: in one piece or byte by byte they are the same ones, or refused alike."""
    whole, pieces = _requests([data]), _requests([data[at : at + 1] for at in range(len(data))])
    assert whole == pieces


def _requests(pieces: list[bytes]) -> tuple[object, ...]:
    reader, refusal = RequestReader(Nobody()), ""
    try:
        for piece in pieces:
            reader.feed(piece)
    except RequestError as error:
        refusal = error.code
    found = [(each.method, each.target, each.lines, each.keep_alive, each.is_whole) for each in reader.requests]
    return refusal, found, [b"".join(each.pieces) for each in reader.requests]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "json": partial(fills, json.scan),
    "form": partial(fills, form.scan),
    "xml": partial(fills, xml.scan),
    "multipart": partial(fills, multipart_body),
    "content_type": content_type,
    "selector": selector,
    "key": key,
    "scrubber": scrubber,
    "guard": guard,
    "connect": connect,
    "fields": fields,
    "webhook": webhook,
    "answer": answer,
    "request": request,
}


def seeds(target: str) -> Iterator[bytes]:
    """The seeds of a target, one a file; and for bodies, those of real requests and answers."""
    for path in sorted((SEEDS / target).iterdir()):
        yield path.read_bytes()
    for path in sorted(CAPTURES.glob("*.http")):
        head, _, body = path.read_bytes().partition(b"\r\n\r\n")
        if target == "connect":
            yield head
        elif target not in {"content_type", "selector", "key", "fields"}:
            yield body
        elif target == "content_type":
            yield from (line[14:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-type: "))
