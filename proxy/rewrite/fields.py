"""The protected fields of a route, compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from proxy.rewrite.errors import SelectorsConflict
from proxy.rewrite.selectors import Automaton, Selector, Where
from vault.card_tokens import CardShape
from vault.requests import UNLIMITED, TokenLimits

KEPT = "kept"
"""The kind of what stays as it is and is not searched for card numbers."""

CREDENTIAL = "credential"
"""The kind of the place where a gateway's SDK puts its key."""
CUSTOMER = "customer"
"""The kind of the place where the application's name of the customer stands."""
IDEMPOTENCY = "idempotency"
"""The kind of the place where a gateway's SDK puts an idempotency key into the body."""
SEQUENCE = "sequence"
"""The kind of the place that says which operations are sent one after the other."""
KEY_PREFIX = "plk_"
KEY_PREFIXES = (KEY_PREFIX, "plo_")  # an operator's is for no gateway and no log, either
"""How an application's Panless key begins."""
STAND_IN = f"{KEY_PREFIX}stand-in"
"""What stands in a request that is kept where its Panless key stood."""


@dataclass(frozen=True, slots=True)
class Field:
    """One protected field: where it is, its kind (`pan`, `cvc`, ...), and whose it is.

    `of` equals the `at` of another field of the route, for example the card number's for a verification code. `shape`
    is that of a card-shaped token; None means an opaque one. `number`: in JSON, write what takes the place as a number
    where it can be one. `limits` are what its tokens are good for.
    """

    at: Selector
    kind: str
    of: Selector | None = None
    shape: CardShape | None = None
    number: bool = False
    limits: TokenLimits = UNLIMITED


class Selecting:
    """Fields that select one value. `field` is the one that counts; `ats` are the selectors of all of them."""

    __slots__ = ("ats", "field")

    def __init__(self, fields: Sequence[Field]) -> None:
        self.field: Final = chosen(fields)
        self.ats: Final = tuple([each.at for each in fields])


class FieldsOfPart:
    """The fields of a route in one part of a message, by number."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._fields = fields
        self._known: dict[tuple[int, ...], Selecting] = {}

    def selecting(self, numbers: tuple[int, ...]) -> Selecting:
        """Return the fields of these numbers; raises SelectorsConflict.

        There are no more of these tuples than the selectors' automaton has had states.
        """
        known = self._known.get(numbers)
        if known is None:
            known = self._known[numbers] = Selecting([self._fields[number] for number in numbers])
        return known

    @cached_property
    def automaton(self) -> Automaton:
        """Their selectors, compiled."""
        return Automaton(tuple([each.at for each in self._fields]))


class Fields:
    """All fields of a route, by the part of a message that they are in. Immutable."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self.all = tuple(fields)
        self.body = self._in(Where.BODY)
        self.query = self._in(Where.QUERY)
        self.of_body = FieldsOfPart(self.body)
        self.of_query = FieldsOfPart(self.query)
        self.headers: Mapping[str, Field] = self._by_header()
        self.protects_body = any(each.kind != KEPT for each in self.body)
        """Whether something in the body may have to be replaced."""

    def __bool__(self) -> bool:
        return bool(self.all)

    def _in(self, where: Where) -> tuple[Field, ...]:
        return tuple(each for each in self.all if each.at.where is where)

    def _by_header(self) -> Mapping[str, Field]:
        found: dict[str, Field] = {}
        for each in self._in(Where.HEADER):
            chosen([found.setdefault(each.at.header, each), each])
        return found


def chosen(selecting: Sequence[Field]) -> Field:
    """Return the field that counts where several select one value; raises SelectorsConflict if kinds differ."""
    if len(selecting) == 1:
        return selecting[0]
    protecting = [each for each in selecting if each.kind != KEPT] or selecting
    for other in protecting[1:]:
        if other.kind != protecting[0].kind:
            raise SelectorsConflict(first=str(protecting[0].at), second=str(other.at))
    return protecting[0]
