"""The page of a frame: whatever it is asked for, nothing of that becomes markup."""

from __future__ import annotations

import json
import re

import pytest

from proxy.errors import FieldsRequestInvalid
from proxy.fields.assets import assets
from proxy.fields.page import Frame, page, page_headers

HOSTILE = "</script><script>alert(1)</script><!--{nonce}{config}"


def test_what_it_is_asked_for_stays_text():
    frame = Frame(HOSTILE, HOSTILE, "number", HOSTILE, "xx")
    document = page(frame, assets(), "the-nonce").decode()
    assert document.count("<") == assets().frame.count("<")
    config = json.loads(re.search(r'id="config"[^>]*>(.*?)</script>', document, re.DOTALL)[1])
    assert (config["key"], config["origin"], config["channel"]) == (HOSTILE, HOSTILE, HOSTILE)
    assert config["locale"] == "en"


@pytest.mark.parametrize(
    ("locale", "language", "direction"), [("de-AT", "de", "ltr"), ("AR", "ar", "rtl"), ("", "en", "ltr")]
)
def test_it_speaks_the_customers_language(locale, language, direction):
    document = page(Frame("pk_1", "https://shop.example", "number", "c" * 16, locale), assets(), "n").decode()
    assert f'<html lang="{language}" dir="{direction}">' in document


def test_each_language_says_the_same():
    texts = assets().texts
    assert len(texts) == 8
    assert len({frozenset(each) for each in texts.values()}) == 1
    assert all(all(text.strip() for text in each.values()) for each in texts.values())


def test_all_pages_of_a_key_may_hold_it_and_no_other():
    policy = page_headers("n", ["https://a.example", "https://b.example"])["Content-Security-Policy"]
    assert "frame-ancestors https://a.example https://b.example;" in policy
    assert "unsafe" not in policy and "*" not in policy


@pytest.mark.parametrize("query", ["", "field=number", "field=number&channel=a", "field=x&channel=0123456789abcdef"])
def test_no_query_but_a_whole_one(query):
    with pytest.raises(FieldsRequestInvalid):
        Frame.read(query)


def test_a_name_that_comes_twice_is_refused_and_not_repeated():
    for query in ("key=a&key=b", "4242424242424242=a&4242424242424242=b"):
        with pytest.raises(FieldsRequestInvalid) as refused:
            Frame.read(query)
        assert "4242" not in str(refused.value)
