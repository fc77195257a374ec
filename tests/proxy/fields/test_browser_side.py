"""What is shipped to browsers, read as text: small, without what strict policies forbid, in eight languages."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from proxy.fields.assets import assets
from proxy.fields.page import FIELDS

ASSETS = Path(__file__).parents[3] / "proxy" / "fields" / "assets"
PAGE, FRAME = (sorted((ASSETS / folder).glob("*.js")) for folder in ("page", "frame"))
LOCALES = sorted((ASSETS / "locales").glob("*.json"))
FORBIDDEN = (
    r"\beval\b|innerHTML|outerHTML|insertAdjacent|document\.write|new Function|srcdoc|localStorage|sessionStorage|"
    r"document\.cookie|console\.log|postMessage\([^;]*\"\*\"|\.style\s*=|setAttribute\(\"style\""
)


@pytest.mark.parametrize("name", ["panless.js", "panless.mjs"])
def test_the_script_is_smaller_than_ten_kibibytes(name):
    assert len(gzip.compress(assets().served[name].body)) < 10 * 1024


def test_every_part_of_the_script_is_served():
    served = assets().served["panless.mjs"].body.decode()
    assert PAGE
    assert all(path.read_text().replace("__PANLESS_SCRIPT__", "import.meta.url") in served for path in PAGE)


def test_the_module_ends_with_its_only_exports():
    lines = assets().served["panless.mjs"].body.decode().splitlines()
    assert lines[-2:] == ["export { Panless };", "export default Panless;"]
    assert not [line for line in lines[:-2] if re.match(r"(?:export|import)\b", line)]


@pytest.mark.parametrize("script", [*PAGE, *FRAME], ids=lambda path: path.name)
def test_scripts_have_nothing_that_a_strict_policy_forbids(script):
    assert re.findall(FORBIDDEN, script.read_text()) == []


@pytest.mark.parametrize("locale", LOCALES, ids=lambda path: path.stem)
def test_every_language_says_the_same_things(locale):
    english, texts = (json.loads((ASSETS / "locales" / name).read_text()) for name in ("en.json", locale.name))
    assert list(texts) == list(english)
    assert all(text.strip() == text != "" for text in texts.values())


def test_there_are_eight_languages():
    assert [path.stem for path in LOCALES] == ["ar", "de", "en", "es", "fr", "it", "ja", "pt"]


def test_every_text_that_a_frame_looks_up_is_there():
    texts = json.loads((ASSETS / "locales" / "en.json").read_text())
    source = "".join(path.read_text() for path in FRAME)
    codes = set(re.findall(r"\"((?:number|expiry|cvc|iban|account|routing)_[a-z]+)\"", source))
    codes |= set(re.findall(r"problem\(texts, \"([a-z_]+)\"", source))
    assert len(codes) > 15
    assert {f"error.{code}" for code in codes} <= texts.keys()
    assert {f"title.{name}" for name in FIELDS} <= texts.keys()
    parts = [name for name in FIELDS if name != "card"]
    assert {f"{what}.{name}" for what in ("label", "placeholder") for name in parts} <= texts.keys()
    # Panless itself finds a value invalid in ways that the frames have not: each part has a sentence for that.
    assert {f"error.{name}_invalid" for name in parts if name != "cvc"} <= texts.keys()


def test_the_types_name_every_field_and_event():
    types = (ASSETS / "panless.d.ts").read_text()
    script = assets().served["panless.mjs"].body.decode()
    for name in FIELDS:
        assert f'"{name}"' in types and f'"{name}"' in script
    for event in json.loads(re.search(r"const EVENTS = (\[.*?\]);", script)[1]):
        assert re.search(rf"^  {event}: ", types, re.MULTILINE), event
