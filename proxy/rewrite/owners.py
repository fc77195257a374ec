"""Whose a verification code is: the card that stands nearest to it in the tree.

Nearest is the longest common path. Two that are equally near are refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.rewrite.errors import BodyAmbiguous
from proxy.rewrite.places import Path

_TIED = -1


class Owners:
    """Places that may own another, by every path that leads towards them."""

    __slots__ = ("_nearest", "_only")

    def __init__(self, places: Sequence[tuple[int, Path]]) -> None:
        self._only = places[0][0] if len(places) == 1 else None  # nearest to all, however far
        self._nearest: dict[Path, int | None] = {(): None}
        if self._only is None:
            for index, path in places:
                self._add(path, index)

    def _add(self, path: Path, index: int) -> None:
        for length in range(len(path), -1, -1):
            prefix = path[:length]
            known = self._nearest.get(prefix)
            if known == _TIED:  # then so are all shorter ones: the work stays linear
                return
            self._nearest[prefix] = index if known is None else _TIED

    def of(self, path: Path, start: int) -> int | None:
        """The index of the place nearest to `path`, which stands at byte `start`; None if there is none.

        Raises BodyAmbiguous on a tie.
        """
        if self._only is not None:
            return self._only
        missing = []
        while path not in self._nearest:
            missing.append(path)
            path = path[:-1]
        owner = self._nearest[path]
        for longer in missing:  # siblings need not look as far again
            self._nearest[longer] = owner
        if owner == _TIED:
            raise BodyAmbiguous(offset=start)
        return owner
