"""Secrets once they are fetched: an immutable value, in which looking one up needs no IO."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from proxy.secrets.references import SecretUnavailable, resolve


class Lookup(Protocol):
    """Where the value of a reference is looked up."""

    def get(self, reference: str) -> str:
        """Return a secret; raises SecretUnavailable, which names the place."""


class LocalSecrets:
    """`env:` and `file:` alone, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, reference: str) -> str:
        return resolve(reference, self._folder)


class Secrets:
    """All secrets of a configuration as they were at one time. `problems` says why one is not to be had."""

    __slots__ = ("_problems", "_values")

    def __init__(self, values: Mapping[str, str], problems: Mapping[str, str]) -> None:
        self._values = MappingProxyType(dict(values))
        self._problems = MappingProxyType(dict(problems))

    def __repr__(self) -> str:
        return f"<{len(self._values)} secrets>"

    def get(self, reference: str) -> str:
        if reference in self._values:
            return self._values[reference]
        raise SecretUnavailable(self._problems.get(reference, f"{reference} was not fetched"))

    def changed(self, before: Secrets) -> list[str]:
        """Return the references whose values are not what they were before."""
        both = self._values.keys() | before._values.keys()
        return sorted(each for each in both if self._values.get(each) != before._values.get(each))
