"""Presets: what is known about a gateway, so that a route needs only a name. `config/gateways/NAME.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


class UnknownPreset(Exception):
    """No preset has this name."""

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        self.problem = problem
        super().__init__(problem)


def folder() -> Path:
    """Where the presets are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "gateways"
    return installed if installed.is_dir() else package.parent / "config" / "gateways"


def names() -> list[str]:
    return sorted(path.stem for path in folder().glob("*.toml"))


def apply(document: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with every outbound route laid over its preset. Tables are merged, one level deep."""
    routes = document.get("outbound")
    if not isinstance(routes, list):
        return document
    return document | {"outbound": [_apply_one(route, number) for number, route in enumerate(routes)]}


def _apply_one(route: Any, number: int) -> Any:
    if not isinstance(route, dict) or "preset" not in route:
        return route
    name = route["preset"]
    if name not in names():
        raise UnknownPreset(f"outbound.{number}.preset", f"there is no such preset; there are {', '.join(names())}")
    preset = tomllib.loads((folder() / f"{name}.toml").read_text("utf-8"))
    tables = [key for key, default in preset.items() if isinstance(default, dict) and isinstance(route.get(key), dict)]
    merged = {key: preset[key] | route[key] for key in tables}
    return preset | route | merged
