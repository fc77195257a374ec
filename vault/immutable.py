"""Values that do not change once they are made.

It is the type checker that holds them to it. A frozen dataclass would check it at run time, which makes a value three
times as dear to make; requests make dozens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Made = TypeVar("Made")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def immutable(cls: type[Made]) -> type[Made]:
    """Make a class of values, with slots, equal and hashed by their attributes."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
