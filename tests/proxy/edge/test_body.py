from __future__ import annotations

import time
from contextlib import suppress

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from proxy.edge.body import body_type
from proxy.errors import (
    CharsetUnsupported,
    ContentEncodingUnsupported,
    ContentTypeMissing,
    ContentTypeUnsupported,
)
from proxy.rewrite.plan import BodyType

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def read_as(*content_types: str, **more: str) -> BodyType:
    headers = CIMultiDict([("Content-Type", each) for each in content_types])
    headers.extend({name.replace("_", "-"): value for name, value in more.items()})
    return body_type(make_mocked_request("POST", "/", headers=headers), "checkout")


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
        "text/json",
        "application/jsonx",
        "xapplication/json",
        "application/json-seq",
        "application/+json",
        "application/a/b+json",
        "text/vnd.api+json",
        "multipart/form-data; boundary=x",
        f"{JSON}, {FORM}",
        f"{JSON} {FORM}",
        f"{JSON}x; charset=utf-8",
        f"{JSON}\x00",
        f"{JSON}; charset=utf-8; charset=utf-8",
        f"{JSON}; charset=utf-8; charset=utf-16",
        f"{JSON}; charset",
        f'{JSON}; charset="utf-8',
        f'{JSON}; charset="utf\\-8"',
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


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", "iso-8859-1", "utf-32", "x", "", '""', "utf-8-sig", "cp037"])
def test_any_charset_but_utf_8_is_refused(charset):
    with pytest.raises(CharsetUnsupported):
        read_as(f"{JSON}; charset={charset}")


def test_two_types_are_refused_also_when_they_are_the_same():
    for other in (FORM, JSON):
        with pytest.raises(ContentTypeUnsupported):
            read_as(JSON, other)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP", "identity, gzip", "", "x"])
def test_a_compressed_body_is_refused(encoding):
    with pytest.raises(ContentEncodingUnsupported):
        read_as(JSON, Content_Encoding=encoding)
    assert read_as(JSON, Content_Encoding="Identity") is BodyType.JSON


def test_a_second_content_encoding_is_refused():
    headers = CIMultiDict([("Content-Type", JSON), ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")])
    with pytest.raises(ContentEncodingUnsupported):
        body_type(make_mocked_request("POST", "/", headers=headers), "checkout")


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
