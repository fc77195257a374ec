"""The charges of a stand-in gateway. With a journal they survive its kill -9, as a real gateway's do."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Charge:
    """Money that has moved. `key` is the Idempotency-Key that it was asked for with, if there was one."""

    id: str
    key: str | None
    card: str
    amount: int

    @property
    def answer(self) -> dict:
        return {"id": self.id, "status": "succeeded", "amount": self.amount, "card": {"last4": self.card[-4:]}}


class Ledger:
    """`idempotent`: the same key gets the stored charge. Each charge is in the journal before it is answered."""

    def __init__(self, journal: Path | None = None, *, idempotent: bool = True) -> None:
        self.idempotent = idempotent
        self.charges: list[Charge] = []
        self._by_key: dict[str, Charge] = {}
        self._journal: int | None = None
        if journal is not None:
            if journal.exists():
                for line in journal.read_text().splitlines():
                    self._keep(Charge(**json.loads(line)))
            self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def charge(self, key: str | None, card: str, amount: int) -> Charge | None:
        """Move money, or return what was moved for the key; None if that was another request's key."""
        known = self._by_key.get(key) if key is not None and self.idempotent else None
        if known is not None:
            return known if (known.card, known.amount) == (card, amount) else None
        made = Charge(f"ch_{len(self.charges) + 1:06}", key, card, amount)
        if self._journal is not None:
            os.write(self._journal, json.dumps(asdict(made)).encode() + b"\n")
        self._keep(made)
        return made

    def per_key(self) -> dict[str | None, int]:
        counts: dict[str | None, int] = {}
        for charge in self.charges:
            counts[charge.key] = counts.get(charge.key, 0) + 1
        return counts

    def reset(self) -> None:
        """Forget everything but what is in the journal."""
        self.charges.clear()
        self._by_key.clear()

    def close(self) -> None:
        if self._journal is not None:
            os.close(self._journal)

    def _keep(self, charge: Charge) -> None:
        self.charges.append(charge)
        if charge.key is not None:
            self._by_key.setdefault(charge.key, charge)
