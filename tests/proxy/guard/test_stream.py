"""Scanning a stream: the same verdict however it is cut, every byte in order, and never a whole number passed on."""

from __future__ import annotations

import zlib
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.edge.encodings import window_bits
from proxy.guard import stream
from proxy.guard.search import search
from proxy.guard.stream import InflatingSearch, NotInflatable, StreamSearch

VISA = b"4111111111111111"
BESIDE = [
    b"", b" ", b"card ", b"\n", b'{"n": "', b" 12/30 123", b"12 ", b"1 2 3 4 5 6 7 8 " * 70, b"1700000000000 ", b"abc",
    b"fedcba9876", b"xyz", b"DE89 3704 0044 0532 0130 00", b"41111111-1111-4111-8111-", b"-41111111-1111-4111", b"%B",
    b"^DOE", b"D30121010000000000F", b"9400 ", b".0", b"0.", b"e0", b"+", b"&amp;", b"\\u00", b"%", b"x" * 1100,
    b"0123456789abcdef" * 70, "\u00a0\u2009".encode(), b"\0", b"&nbsp;", b" 5555 5555 5555 4444",
]  # fmt: skip
WRITTEN = [
    VISA, b"4111 1111 1111 1111", b"3782-822463-10005", b"378282246310005", b"6759649826438453",
    b"".join(b"\\u%04x" % digit for digit in VISA), b"".join(b"%%25%02x" % digit for digit in VISA),
    b"".join(b"&amp;#%d;" % digit for digit in VISA), "\uff14\uff11\uff11\uff11".encode() * 4, VISA[:15],
    b"4.111111111111111e15", VISA.decode().encode("utf-16-le"), b"%B4111111111111111^",
    b" ".join([b"%c" % digit for digit in VISA]),
]  # fmt: skip
texts = st.lists(st.sampled_from([*BESIDE, *WRITTEN]) | st.binary(max_size=30), max_size=8).map(b"".join)


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A text and the same in pieces, of one byte each or of any size."""
    text = draw(texts)
    if draw(st.booleans()):
        size = draw(st.sampled_from([1, 2, 7, 64, 1023, 5000]))
        text = text if size > 7 else text[-1500:]
        return text, pieces_of(text, size)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return text, [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def passed_of(search: StreamSearch | InflatingSearch, pieces: list[bytes]) -> tuple[bytes, bytes | None]:
    """Return all that is passed on, and what had been when a number was found."""
    passed, refused_at = b"", None
    for piece in [*pieces, None]:
        new, found = search.end() if piece is None else search.feed(piece)
        if found and refused_at is None:
            refused_at = passed
        passed += new
    return passed, refused_at


def deflated(data: bytes, bits: int, pieces: int = 1) -> bytes:
    compressor = zlib.compressobj(wbits=bits)
    size = max(1, -(-len(data) // pieces))
    out = [compressor.compress(part) + compressor.flush(zlib.Z_SYNC_FLUSH) for part in pieces_of(data, size)]
    return b"".join([*out, compressor.flush()])


def inflated(data: bytes, bits: int) -> bytes:
    """Return what a receiver gets out of as much of a stream."""
    plain = b""
    while data:
        inflater = zlib.decompressobj(bits)
        plain += inflater.decompress(data)
        data = inflater.unused_data
    return plain


GZIP, ZLIB, RAW = 31, 15, -15
CODINGS = {GZIP: "gzip", ZLIB: "deflate", RAW: "deflate"}


def inflating(bits: int) -> InflatingSearch:
    return InflatingSearch(partial(window_bits, CODINGS[bits]))


@given(cut_texts())
@example((VISA + b"\n", [VISA, b"", b"\n"]))
@example((VISA + b"abcdefabcdef", [VISA + b"a", b"bcdefabcdef"]))
@example((b"4111 1111 1111 1111 " + b"1 2 3 " * 600, pieces_of(b"4111 1111 1111 1111 " + b"1 2 3 " * 600, 100)))
@settings(max_examples=120, deadline=None)
def test_the_verdict_does_not_depend_on_how_a_stream_is_cut(cut):
    text, pieces = cut
    passed, refused_at = passed_of(StreamSearch(), pieces)
    assert passed == text
    assert (refused_at is not None) == any(search(text))
    if refused_at is not None:
        assert not any(search(refused_at)), "a whole number was passed on before it was found"


@given(cut_texts(), st.sampled_from(list(CODINGS)), st.integers(1, 5), st.sampled_from([1, 2, 3, 11, 100, 10_000]))
@settings(max_examples=120, deadline=None)
def test_the_verdict_on_a_compressed_stream_is_that_on_what_comes_out_of_it(cut, bits, flushes, size):
    text = cut[0] if size > 11 else cut[0][-1500:]
    whole = deflated(text, bits, flushes)
    passed, refused_at = passed_of(inflating(bits), pieces_of(whole, size))
    assert passed == whole
    assert (refused_at is not None) == any(search(text))
    if refused_at is not None:
        assert not any(search(inflated(refused_at, bits)))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_number_is_found_across_members_of_a_gzip_stream(size):
    whole = b"".join(deflated(part, GZIP) for part in (b"pay ", VISA[:9], VISA[9:], b" now"))
    passed, refused_at = passed_of(inflating(GZIP), pieces_of(whole, size))
    assert passed == whole
    assert refused_at is not None
    assert VISA not in inflated(refused_at, GZIP)


@pytest.mark.parametrize("bits", CODINGS)
def test_an_empty_block_after_a_number_does_not_let_it_pass(bits):
    """A flush adds bytes out of which nothing comes; what came before them is not searched by that."""
    compressor = zlib.compressobj(wbits=bits)
    pieces = [compressor.compress(b"pay " + VISA) + compressor.flush(zlib.Z_SYNC_FLUSH)]
    pieces += [compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(5)]
    pieces += [compressor.compress(b" now") + compressor.flush()]
    passed, refused_at = passed_of(inflating(bits), pieces)
    assert passed == b"".join(pieces)
    assert refused_at is not None
    assert VISA not in inflated(refused_at, bits)


@pytest.mark.parametrize("bits", CODINGS)
def test_what_inflates_far_is_searched_to_its_end(bits):
    text = b" " * 3_000_000 + VISA + b" " * 262_144
    whole = deflated(text, bits)
    for size in (1, 100, len(whole)):
        passed, refused_at = passed_of(inflating(bits), pieces_of(whole, size))
        assert passed == whole
        assert refused_at is not None
    empty = deflated(b" " * 262_144, bits)
    assert passed_of(inflating(bits), [empty]) == (empty, None)


@pytest.mark.parametrize("bits", CODINGS)
def test_what_is_cut_off_or_no_compressed_stream_is_refused(bits):
    whole = deflated(b"hello world " * 9, bits)
    for bad in (whole[:-1], whole[:1], whole[: len(whole) // 2], whole + b"garbage", b"plain text that is long enough"):
        with pytest.raises(NotInflatable):
            passed_of(inflating(bits), pieces_of(bad, 5))
    assert passed_of(inflating(bits), []) == (b"", None)


def test_an_event_is_passed_on_at_once():
    plain, packed = StreamSearch(), inflating(GZIP)
    compressor = zlib.compressobj(wbits=GZIP)
    for number in range(20):
        event = b'event: charge\ndata: {"id": %d, "at": 170000000000%d}\n\n' % (number, number % 10)
        assert plain.feed(event) == (event, False)
        piece = compressor.compress(event) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert packed.feed(piece) == (piece, False)


@pytest.mark.parametrize("text", [b"1", b"1 ", b"a", b"4111 ", b"\xff", b"\\", b"%34", b"\0", b"&amp;"])
@pytest.mark.parametrize("size", [1, 997, 65536])
def test_little_is_held_whatever_comes(text, size):
    search, came, passed = StreamSearch(), 0, 0
    for piece in pieces_of((text * 200_000)[: 2200 if size == 1 else 150_000], size):
        came += len(piece)
        passed += len(search.feed(piece)[0])
        assert came - passed <= stream.WINDOW
        assert len(search._before) <= stream.WINDOW


def test_little_of_a_compressed_stream_is_held_whatever_comes():
    for text in (b"0123456789abcdef" * 50_000, bytes(800_000), b"4111 " * 100_000):
        search, held = inflating(RAW), 0
        for piece in pieces_of(deflated(text, RAW), 1000):
            held += len(piece) - len(search.feed(piece)[0])
            assert held <= 4000


def test_empty_blocks_without_end_are_refused():
    search, empty = inflating(RAW), b"\0\0\0\xff\xff" * 20_000
    search.feed(_open(VISA))
    assert not any(search.feed(empty)[0] for _ in range(10))
    with pytest.raises(NotInflatable):
        search.feed(empty)


def _open(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=RAW)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("size", [10, 1000, 16384])
def test_the_work_on_a_stream_is_linear(monkeypatch, size):
    looked = 0

    def counting(data, **options):
        nonlocal looked
        looked += len(data)
        return search(data, **options)

    monkeypatch.setattr(stream, "search", counting)
    for pieces in (5, 20):
        looked, searching = 0, StreamSearch()
        for piece in pieces_of(b"4111 1111 " * (size * pieces // 10), size):
            searching.feed(piece)
        assert looked <= pieces * (size + 2 * stream.WINDOW)
