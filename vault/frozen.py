"""`frozen`: a dataclass that the type checker holds immutable, and that costs no more to make than a plain one.

`dataclass(frozen=True)` sets each field by a call of its own, which takes three times as long; a request makes
dozens of such values. What mypy --strict finds at every assignment need not be found again while it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform, overload

Value = TypeVar("Value")


@overload
def frozen(cls: type[Value], /) -> type[Value]: ...
@overload
def frozen(*, kw_only: bool = False, eq: bool = True) -> Callable[[type[Value]], type[Value]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(
    cls: type[Value] | None = None, /, *, kw_only: bool = False, eq: bool = True
) -> type[Value] | Callable[[type[Value]], type[Value]]:
    """Make a class a dataclass with slots, which compares and hashes by its fields or, without `eq`, by identity."""

    def made(cls: type[Value]) -> type[Value]:
        return dataclass(slots=True, eq=eq, unsafe_hash=eq, kw_only=kw_only)(cls)

    return made if cls is None else made(cls)
