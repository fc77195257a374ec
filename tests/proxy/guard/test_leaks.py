"""Leaks in messages: every part that no field covers is searched, and what is replaced stays well-formed."""

from __future__ import annotations

import json

import pytest

from proxy.guard.leaks import leaks, part_of
from proxy.rewrite.fields import KEPT, Field, Fields
from proxy.rewrite.media import BodyType, Media
from proxy.rewrite.message import Message
from proxy.rewrite.plan import find
from proxy.rewrite.selectors import Selector
from vault.exposure import expose

VISA, AMEX = "4111111111111111", "378282246310005"
JSON = Media(BodyType.JSON)
NUMBER = Field(Selector.parse("$.number"), "pan")


def judged(message: Message, *fields: Field):
    plan, found = leaks(find(message, Fields(fields)))
    return plan.adding(found), found


def body(text: str, media: Media | None = JSON) -> Message:
    return Message(text.encode(), media)


@pytest.mark.parametrize(
    ("message", "part"),
    [
        (body(f'{{"note": "{VISA}"}}'), "body"),
        (Message(path=f"/cards/{VISA}"), "path"),
        (Message(query=f"q=1&n={VISA}"), "query"),
        (Message(headers=(("X-A", "1"), ("X-Note", f"for {VISA}"))), "header:X-Note"),
        (Message(f"note={VISA}".encode()), "body"),
    ],
)
def test_a_leak_is_found_in_every_part(message, part):
    plan, (leak,) = judged(message, NUMBER)
    assert part_of(plan, leak) == part
    assert expose(leak.value) == VISA
    assert VISA not in repr(plan) + repr(leak)


def test_the_field_itself_and_exceptions_are_no_leaks():
    text = f'{{"number": "{VISA}", "order": {AMEX}, "note": "{VISA}"}}'
    plan, found = judged(body(text), NUMBER, Field(Selector.parse("$.order"), KEPT))
    assert [expose(each.value) for each in found] == [VISA]
    filled = json.loads(plan.fill(["first", "second"]).body)
    assert filled == {"number": "first", "order": int(AMEX), "note": "second"}


@pytest.mark.parametrize("header", ["Date", "etag", "Content-Length", "traceparent"])
def test_headers_of_the_protocol_are_not_searched(header):
    assert judged(Message(headers=((header, VISA),)), NUMBER)[1] == ()


@pytest.mark.parametrize("written", [VISA, f"{VISA}.0", "4.111111111111111e15", f"-{VISA}", f"{VISA}e0"])
def test_json_stays_json_where_a_number_is_replaced(written):
    for text in (f'{{"a": {written}, "b": 1}}', f"[1,{written}]", f'{{"x":"\\"","a":{written}}}'):
        for media in (JSON, None):
            plan, (leak,) = judged(body(text, media))
            assert expose(leak.value) == VISA
            assert plan.fill(["tok"]).body.decode() == text.replace(written, '"tok"')


def test_in_a_json_string_only_the_number_is_replaced():
    text = f'{{"a": "card {VISA} of \\"me\\"", "b": "4111 1111 1111 1111", "c": "\\u0034111111111111111"}}'
    plan, found = judged(body(text))
    assert [expose(each.value) for each in found] == [VISA] * 3
    assert json.loads(plan.fill(["t1", "t2", "t3"]).body) == {"a": 'card t1 of "me"', "b": "t2", "c": "t3"}


def test_two_numbers_in_a_row_are_two_leaks():
    _, found = judged(body(f'{{"a": "{VISA} {AMEX}"}}'))
    assert [expose(each.value) for each in found] == [VISA, AMEX]


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-8"])
def test_a_leak_in_an_unread_body_is_found_in_any_charset(charset):
    _, (leak,) = judged(Message(f"say {VISA}".encode(charset)))
    assert expose(leak.value) == VISA


def test_a_clean_message_is_the_same_plan():
    plan = find(Message(b'{"a": 1700000000000}', JSON, "/a/b", "c=d", (("X-Id", "41111111"),)), Fields([NUMBER]))
    assert leaks(plan) == (plan, ())
