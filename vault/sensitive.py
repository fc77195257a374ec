"""Sensitive: a value that cannot be shown, stored or compared by accident.

Rules:
1. No way of turning it into text shows the value: str, repr, format, f-strings, `%s`, logging, JSON.
2. It cannot be pickled or copied, so it cannot reach a queue, a cache or another process.
3. It cannot be compared or hashed, so it cannot become a dictionary key or a timing oracle.
4. Only `vault.exposure.expose` reads it.
"""

from __future__ import annotations

from typing import NoReturn, final


@final
class Sensitive:
    """Holds one piece of account data (text) in memory. Python cannot wipe it: keep it short-lived."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def __repr__(self) -> str:
        return "<sensitive>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<sensitive>"

    def __eq__(self, other: object) -> bool:
        raise TypeError("sensitive values cannot be compared")

    __hash__ = None  # type: ignore[assignment]  # unhashable on purpose, see rule 3

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("sensitive values cannot be pickled or copied")

    def __getstate__(self) -> NoReturn:
        raise TypeError("sensitive values have no state to show")

    def __bool__(self) -> NoReturn:
        raise TypeError("sensitive values have no truth value")
