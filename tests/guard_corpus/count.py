"""Counts what the guard finds in documents."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from proxy.guard.search import search
from tests.guard_corpus.documents import Document, Value, document

CHUNK = 1000


@dataclass
class Counts:
    """`values` and `cards` count what there was, `alarms` and `misses` what the guard was wrong about."""

    documents: int = 0
    false_documents: int = 0
    values: Counter[str] = field(default_factory=Counter)
    alarms: Counter[str] = field(default_factory=Counter)
    cards: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, other: Counts) -> None:
        self.documents += other.documents
        self.false_documents += other.false_documents
        for name in ("values", "alarms", "cards", "misses"):
            getattr(self, name).update(getattr(other, name))
        self.examples = other.examples | self.examples

    def look(self, made: Document) -> None:
        """Search one document. What overlaps a card is no false alarm."""
        spans = list(search(bytes(made.text)))
        found = {value: self._overlaps(spans, start, end) for start, end, value in made.places}
        stray = set()
        for value, hit in found.items():
            (self.cards if value.is_card else self.values)[value.label] += 1
            if value.is_card and not hit:
                self._note(self.misses, value, made)
            elif hit and not value.is_card:
                stray.add(value)
        for value in stray:
            self._note(self.alarms, value, made)
        self.documents += 1
        self.false_documents += bool(stray)

    @staticmethod
    def _overlaps(spans: list[tuple[int, int]], start: int, end: int) -> bool:
        return any(first < end and start < last for first, last in spans)

    def _note(self, counter: Counter[str], value: Value, made: Document) -> None:
        counter[value.label] += 1
        at = next(start for start, _, each in made.places if each is value or each == value)
        self.examples.setdefault(value.label, bytes(made.text[max(0, at - 30) : at + 90]).decode("utf-8", "replace"))


def counted(job: tuple[int, int, int]) -> Counts:
    """Make and search one chunk of the corpus: (seed, number of the chunk, documents in it)."""
    seed, chunk, size = job
    random = Random(f"{seed} {chunk}")  # noqa: S311
    counts = Counts()
    for number in range(size):
        counts.look(document(random, with_card=number % 2 == 0))
    return counts
