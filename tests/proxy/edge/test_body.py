from __future__ import annotations

import gzip
import time
import zlib
from contextlib import suppress

import pytest
from multidict import CIMultiDict

from proxy.edge.body import media_of, plain_body
from proxy.errors import (
    BodyTooLarge,
    ContentEncodingInvalid,
    ContentEncodingUnsupported,
    ContentTypeMissing,
    ContentTypeUnsupported,
)
from proxy.rewrite.media import BodyType

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def read_as(*content_types: str, **more: str) -> BodyType:
    headers = CIMultiDict([("Content-Type", each) for each in content_types])
    headers.extend({name.replace("_", "-"): value for name, value in more.items()})
    body_type = media_of(headers, "checkout").type
    assert body_type is not None
    return body_type


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (JSON, BodyType.JSON),
        ("Application/JSON", BodyType.JSON),
        (f" {JSON} ", BodyType.JSON),
        (f"{JSON};charset=utf-8", BodyType.JSON),
        (f"{JSON}; charset=UTF-8", BodyType.JSON),
        (f'{JSON}; charset="utf-8"', BodyType.JSON),
        (f"{JSON}; Charset=utf8", BodyType.JSON),
        (f"{JSON}; charset=us-ascii", BodyType.JSON),
        (f"{JSON};", BodyType.JSON),
        (f"{JSON} ; version=1 ; charset = utf-8", BodyType.JSON),
        (f'{JSON}; note="a b"', BodyType.JSON),
        ("application/vnd.api+json", BodyType.JSON),
        ("application/problem+json; charset=utf-8", BodyType.JSON),
        (FORM, BodyType.FORM),
        (f"{FORM}; charset=utf-8", BodyType.FORM),
        (FORM.upper(), BodyType.FORM),
        ("text/json", BodyType.JSON),
        (f'{JSON}; charset="utf\\-8"', BodyType.JSON),
        ("application/xml", BodyType.XML),
        ("text/xml; charset=iso-8859-1", BodyType.XML),
        ("application/soap+xml; action=x", BodyType.XML),
        ('multipart/form-data; boundary="a b"', BodyType.MULTIPART),
    ],
)
def test_a_type_that_can_be_read_is_told(content_type, expected):
    assert read_as(content_type) is expected


def test_a_body_without_a_type_is_refused():
    with pytest.raises(ContentTypeMissing):
        read_as()


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        " ",
        "application",
        "/",
        "json",
        "text/plain",
        "application/jsonx",
        "xapplication/json",
        "application/json-seq",
        "application/+json",
        "application/a/b+json",
        "text/vnd.api+json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a b ",
        "multipart/form-data; boundary*=x",
        "multipart/mixed; boundary=x",
        f"{JSON}, {FORM}",
        f"{JSON} {FORM}",
        f"{JSON}x; charset=utf-8",
        f"{JSON}\x00",
        f"{JSON}; charset=utf-8; charset=utf-8",
        f"{JSON}; charset=utf-8; charset=utf-16",
        f"{JSON}; charset",
        f'{JSON}; charset="utf-8',
        f"{JSON}; =utf-8",
        f"{JSON}; charset=utf-8 x",
        f"{JSON};; charset=utf-16;=",
        f"{JSON}\u00a0",
        "ａpplication/json",
    ],
    ids=ascii,
)
def test_any_other_type_is_refused(content_type):
    with pytest.raises(ContentTypeUnsupported):
        read_as(content_type)


def test_two_types_are_refused_also_when_they_are_the_same():
    for other in (FORM, JSON):
        with pytest.raises(ContentTypeUnsupported):
            read_as(JSON, other)


def plain(raw: bytes, *encodings: str, limit: int = 1000) -> bytes:
    headers = CIMultiDict([("Content-Encoding", each) for each in encodings])
    body = plain_body(raw, headers, "checkout", limit)
    assert "Content-Encoding" not in headers
    return body


RAW_DEFLATE = zlib.compress(b"a=1")[2:-4]


@pytest.mark.parametrize(
    ("raw", "encodings"),
    [
        (b"a=1", ()),
        (b"a=1", ("identity",)),
        (gzip.compress(b"a=1", mtime=0), ("gzip",)),
        (gzip.compress(b"a=1", mtime=0), ("X-GZip",)),
        (gzip.compress(b"a=1", mtime=0), ("identity, gzip",)),
        (gzip.compress(b"a", mtime=0) + gzip.compress(b"=1", mtime=0), ("gzip",)),
        (zlib.compress(b"a=1"), ("deflate",)),
        (RAW_DEFLATE, ("deflate",)),
    ],
)
def test_a_compressed_body_is_undone(raw, encodings):
    assert plain(raw, *encodings) == b"a=1"


@pytest.mark.parametrize("encodings", [("br",), ("x",), ("gzip, gzip",), ("gzip", "deflate"), ("zstd",)])
def test_another_encoding_is_refused(encodings):
    with pytest.raises(ContentEncodingUnsupported):
        plain(b"a=1", *encodings)


@pytest.mark.parametrize(
    "raw", [b"a=1", gzip.compress(b"a=1", mtime=0)[:-1], gzip.compress(b"a=1", mtime=0) + b"x", b"\x1f\x8b"]
)
def test_a_body_that_is_not_what_its_encoding_says_is_refused(raw):
    with pytest.raises(ContentEncodingInvalid):
        plain(raw, "gzip")


def test_a_bomb_is_refused_before_it_goes_off():
    with pytest.raises(BodyTooLarge):
        plain(gzip.compress(bytes(10_000_000)), "gzip", limit=1_000_000)


LONG = 5_000  # a header may have six times as many


@pytest.mark.parametrize(
    "content_type",
    [
        "/" * LONG + " x",
        JSON + ";" * LONG,
        JSON + ";" + " " * LONG + "=",
        JSON + ";" + "a" * LONG,
        JSON + ';a="' + "a" * LONG,
        JSON + "; a=b" * (LONG // 5) + "=",
        " " * LONG,
        "application/" + "x" * LONG + "+jso",
    ],
    ids=["slashes", "semicolons", "spaces", "name", "quote", "parameters", "blank", "suffix"],
)
def test_a_long_type_is_told_in_no_time(content_type):
    begin = time.process_time()
    with suppress(ContentTypeUnsupported):
        read_as(content_type)
    assert time.process_time() - begin < 0.1
