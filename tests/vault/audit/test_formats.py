"""Events in the formats of collectors: CEF escapes what could end a field, OCSF has what its class requires."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from tests.harness.audit_log import a_log, rewritten
from vault.audit.formats import Entry, is_wanted, line_of

SCHEMA = json.loads((Path(__file__).parents[2] / "vectors" / "ocsf-api-activity.json").read_text())
FULL = {
    "tenant": "default",
    "destination": "api.example",
    "origin": "192.0.2.1",
    "code": "not_permitted",
    "tokens": ["tok_1", "tok_2"],
    "operator": "anna",
    "reason": "a=b|c\\d\ne",
    "policy": "3",
    "rule": "night",
}


def entry(**members) -> Entry:
    return Entry(7, rewritten(a_log().bodies[1], **members))


def test_json_lines_are_the_canonical_bodies():
    assert line_of(entry(), "jsonl", "1").encode() == entry().body


@pytest.mark.parametrize("members", [{}, FULL, {"operator": None}, {"outcome": "denied", "action": "velocity.limit"}])
def test_ocsf_has_what_its_class_requires(members):
    event = json.loads(line_of(entry(**members), "ocsf", "0.1.0"))
    jsonschema.validate(event, SCHEMA)
    assert event["type_uid"] == 600300 + event["activity_id"]
    assert event["time"] == 1720771201000
    assert event["metadata"]["sequence"] == 7


def test_ocsf_says_who_what_and_how_it_ended():
    event = json.loads(line_of(entry(**FULL, outcome="denied"), "ocsf", "0.1.0"))
    assert event["actor"] == {"user": {"name": "anna"}}
    assert (event["status"], event["status_code"], event["severity"]) == ("Failure", "not_permitted", "Medium")
    assert [each["uid"] for each in event["resources"]] == ["tok_1", "tok_2"]
    assert event["unmapped"]["rule"] == "night"


def test_cef_is_one_line_whose_fields_end_where_they_should():
    line = line_of(entry(**FULL, action="a|b\\c"), "cef", "0.1.0")
    header = re.split(r"(?<!\\)\|", line)
    assert header[:4] == ["CEF:0", "Panless", "Panless", "0.1.0"]
    assert header[4] == r"a\|b\\c"
    assert "\n" not in line
    assert r"cs3=a\=b|c\\d\ne cs4Label=operator" in line
    assert "cs6=tok_1 tok_2" in line
    assert " cn1=7 " in line


def test_what_cannot_be_read_is_told_as_it_is():
    for form in ("jsonl", "cef", "ocsf"):
        assert line_of(Entry(1, b"\xff\n"), form, "1") == "\\xff\\n"


@pytest.mark.parametrize(
    ("action", "only", "wanted"),
    [
        ("reveal", [], True),
        ("break_glass.begin", ["break_glass.*", "velocity.*"], True),
        ("reveal", ["break_glass.*"], False),
        ("reveal", ["reveal"], True),
        ("reveal.denied", ["reveal"], False),
    ],
)
def test_patterns_choose_actions(action, only, wanted):
    assert is_wanted(entry(action=action), only) is wanted
