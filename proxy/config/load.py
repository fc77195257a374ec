"""Reading a configuration. What is wrong is named by file and key, and no value is shown."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from proxy import presets
from proxy.config.models import Config
from proxy.errors import ConfigInvalid

_LATER = {"webhook": "webhook routes", "forward": "the forward proxy"}


def load(file: Path) -> Config:
    """Read and check a configuration; raises ConfigInvalid, which names file and key and no value."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except OSError:
        raise ConfigInvalid(file=str(file), key="(file)", problem="it cannot be read") from None
    except UnicodeDecodeError:
        raise ConfigInvalid(file=str(file), key="(file)", problem="it is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        place = str(error).rpartition("(")[2].rstrip(")")
        raise ConfigInvalid(file=str(file), key="(file)", problem=f"it is not TOML, {place}") from None
    return parse(document, file)


def parse(document: dict[str, Any], file: Path) -> Config:
    """Check a configuration that was read from `file`; raises ConfigInvalid."""
    try:
        merged = presets.apply(document)
        return Config.model_validate(merged | {"file": file.absolute()})
    except presets.UnknownPreset as error:
        raise ConfigInvalid(file=str(file), key=error.key, problem=error.problem) from None
    except ValidationError as error:
        # .errors() would carry the input; only the place and the message are taken from it.
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "(routes)"
        problem = first["msg"].removeprefix("Value error, ")
        for part in first["loc"]:
            if part in _LATER:
                problem = f"{_LATER[str(part)]} are not part of this release yet"
        raise ConfigInvalid(file=str(file), key=key, problem=problem) from None
