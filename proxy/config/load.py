"""Reading a configuration. What is wrong is named by file and key, and no value is shown."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from proxy import presets
from proxy.config.keys import PROVIDERS
from proxy.config.literals import PROBLEM, literal_secret
from proxy.config.models import Config
from proxy.errors import ConfigInvalid


def load(file: Path) -> Config:
    """Read and check a configuration; raises ConfigInvalid, which names file and key and no value."""
    return load_text(read(file), file)


def read(file: Path) -> str:
    """Return the text of a configuration; raises ConfigInvalid."""
    found = _read(file)
    if not isinstance(found, str):
        raise ConfigInvalid(file=str(file), key="(file)", problem=found[0])
    return found


def load_text(text: str, file: Path) -> Config:
    """Check a configuration whose text was read from `file` before; raises ConfigInvalid."""
    document = _document(text)
    if isinstance(document, str):
        raise ConfigInvalid(file=str(file), key="(file)", problem=document)
    return parse(document, file)


def parse(document: dict[str, Any], file: Path) -> Config:
    """Check a configuration that was read from `file`; raises ConfigInvalid."""
    config = _check(document, file)
    if not isinstance(config, Config):
        key, problem = config
        raise ConfigInvalid(file=str(file), key=key, problem=problem)
    return config


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Panless configuration"
    del schema["properties"]["file"]
    schema["required"].remove("file")
    return schema


# These return what is wrong instead of raising it: an exception that is raised while another one is handled keeps that
# one, and with it the input.


def _read(file: Path) -> str | tuple[str]:
    try:
        return file.read_bytes().decode("utf-8")
    except OSError:
        return ("it cannot be read",)
    except UnicodeDecodeError:
        return ("it is not UTF-8",)


def _document(text: str) -> dict[str, Any] | str:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = str(error).rpartition("(")[2].rstrip(")")
        return f"it is not TOML, {place}"


def _check(document: dict[str, Any], file: Path) -> Config | tuple[str, str]:
    if (literal := literal_secret(document)) is not None:
        return literal, PROBLEM
    if "file" in document:
        return "file", "Extra inputs are not permitted"
    try:
        return Config.model_validate(presets.apply(document) | {"file": file.absolute()})
    except presets.UnknownPreset as error:
        return error.key, error.problem
    except ValidationError as error:
        # .errors() would carry the input; only the place and the message are taken from it.
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    place = [str(part) for part in first["loc"]]
    if place[:1] == ["keys"]:
        place = _place_in_keys(place)
    if first["type"] == "union_tag_invalid":  # its message shows what stands there
        in_keys = place[:1] == ["keys"]
        place = [*place, "provider" if in_keys else "type" if "sink" in place else "scheme"]
        first["msg"] = f"unknown; known are {', '.join(PROVIDERS)}" if in_keys else "unknown; see the documentation"
    return ".".join(place) or "(routes)", first["msg"].removeprefix("Value error, ")


def _place_in_keys(place: list[str]) -> list[str]:
    """Return the place without the names of providers' models, which stand behind `keys` and each of its `also`."""
    before = ["", *place]
    return [part for behind, part in zip(before, place, strict=False) if behind != "keys" and not behind.isdigit()]
