"""The documents say what is there: tests that they name, error codes, links, commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Context

from proxy.cli.main import cli
from proxy.edge.problem import status_of
from proxy.edge.retry import retry
from proxy.errors import UpstreamError
from vault.errors import PanlessError

for name in cli.list_commands(Context(cli)):  # these import every module that defines errors
    assert cli.get_command(Context(cli), name)
ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def _errors(cls: type[PanlessError] = PanlessError) -> Iterator[type[PanlessError]]:
    yield cls
    for below in cls.__subclasses__():
        yield from _errors(below)


def _codes() -> dict[str, type[PanlessError]]:
    return {cls.code: cls for cls in _errors() if "code" in vars(cls)}


def test_every_error_code_is_documented_with_its_status():
    text = (ROOT / "docs" / "errors.md").read_text()
    documented = dict(re.findall(r"^\| (?:(\d+) \| )?`(\w+)`", text, re.MULTILINE)) and {
        code: status for status, code in re.findall(r"^\| (?:(\d+) \| )?`(\w+)`", text, re.MULTILINE)
    }
    codes = _codes()
    assert set(documented) == set(codes)
    for code, status in documented.items():
        if status:
            assert int(status) == status_of(codes[code].__new__(codes[code])), code


def test_the_documented_errors_say_what_the_program_says():
    text = (ROOT / "docs" / "errors.md").read_text()
    for code, cls in _codes().items():
        said = (cls.message.replace("|", "\\|"), cls.remedy.replace("|", "\\|"))
        assert f"`{code}` | {said[0]} | {said[1]} |" in text, code


def test_every_answered_error_says_whether_it_may_be_repeated():
    """docs/reliability.md lists them all; of an upstream's error, what holds if it was not sent stands there, too."""
    answered = set(re.findall(r"^\| \d+ \| `(\w+)`", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE))
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.*) \|$", (ROOT / "docs" / "reliability.md").read_text(), re.MULTILINE)
    statuses = {code: int(status) for code, status, _ in rows}
    codes = _codes()
    assert set(statuses) == answered
    for code, status, said in rows:
        error = codes[code].__new__(codes[code])
        assert status_of(error) == int(status), code
        if not isinstance(error, UpstreamError):
            assert said == f"`{retry(error, int(status)).value}`", code
            continue
        unsent = "it did not get" in error.message
        error.reached, error.protected = ("no" if unsent else "maybe"), True
        assert said.startswith(f"`{retry(error, int(status)).value}`"), code


def test_every_error_says_what_is_wrong_and_what_to_do():
    for cls in _codes().values():
        assert cls.message.endswith((".", "{problem}"))
        assert cls.remedy.endswith(".")


def test_codes_are_used_once():
    names = [cls.code for cls in _errors() if "code" in vars(cls)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_named_tests_lead_somewhere(document):
    text = document.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (document.parent / target).exists(), target
    for name in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (ROOT / name).exists(), name


def test_every_promise_has_tests_or_says_that_it_is_not_kept():
    text = (ROOT / "docs" / "threat-model.md").read_text()
    rows = re.findall(r"^\| (\d+)\. ([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|", text, re.MULTILINE)
    assert [int(row[0]) for row in rows] == list(range(1, 13))
    for number, _promise, _how, tests, missing in rows:
        assert "tests/" in tests or missing.strip(), number


def test_readme_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for command in re.findall(r"panless (app add|audit list|audit verify|check|serve)\b", text):
        assert command.split()[0] in cli.list_commands(Context(cli))
