"""From new values to what is written of them: checked, sealed, fingerprinted, each with a token of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypedDict

from vault.card_tokens import CardShape, card_token, fits
from vault.crypto.envelope import Binding, seal
from vault.crypto.fingerprint import derived, fingerprint
from vault.keys.keyring import FingerprintKeys, Keyring
from vault.keys.lease_keys import LeaseKeys
from vault.kinds import PAN, Description, Storage, code_length
from vault.requests import UNLIMITED, NewValue
from vault.sensitive import Sensitive
from vault.settings import VaultSettings
from vault.store.records import Candidate, Known, Mark, NewLease, NewRecord
from vault.tokens import Token, mint

CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Sealed:
    """Values ready to be written. `minted`: a token for each; `vaulted`: which of them have records, in that order;
    `changes`: the number of the last key change when their keys were taken.
    """

    minted: Sequence[Token]
    vaulted: Sequence[int]
    records: Sequence[NewRecord]
    leases: Sequence[NewLease]
    changes: int

    def tokens(self, final: Sequence[Known]) -> list[Token]:
        """Return the token of each value; `final` is what the writer gives for the records."""
        stored = dict(zip(self.vaulted, final, strict=True))
        return [Token(token.prefix, *stored[i]) if i in stored else token for i, token in enumerate(self.minted)]


class Sealing:
    """Seals for one vault."""

    def __init__(self, keyring: Keyring, lease_keys: LeaseKeys, settings: VaultSettings) -> None:
        self._keyring = keyring
        self._lease_keys = lease_keys
        self._settings = settings

    async def sealed(self, values: Sequence[NewValue], tenant: str) -> Sealed:
        """Seal values of one request; raises the ValueRejected of the first that its kind does not take."""
        changes = await self._keyring.changes()
        normal = [each.kind.normalise(each.value, each.at) for each in values]
        tokens = [_minted(each, value) for each, value in zip(values, normal, strict=True)]
        vaulted = [i for i, each in enumerate(values) if each.kind.storage is Storage.VAULT]
        records = [await self._record(values[i], normal[i], tokens[i], tenant) for i in vaulted]
        leases = [
            await self._lease(each, normal[i], tokens[i], tenant, vaulted)
            for i, each in enumerate(values)
            if each.kind.storage is Storage.LEASE
        ]
        return Sealed(tokens, vaulted, records, leases, changes)

    async def _record(self, new: NewValue, value: Sensitive, token: Token, tenant: str) -> NewRecord:
        key = await self._keyring.sealing_key(tenant)
        sealed = seal(key, value, Binding(tenant, token, new.kind.name))
        about, name = new.kind.describe(value), new.kind.name
        made_of: Sequence[Mark] = ()
        reused = self._settings.reuse_tokens and new.kind.reusable and new.limits == UNLIMITED and not new.fresh
        if reused or new.shape is not None:
            keys = await self._keyring.fingerprint_keys(tenant)
            made_of = marks(keys, name, value) if reused else ()
        record = NewRecord(made_of, token.id, tenant, name, key.id, sealed, about.brand, about.last4, limits=new.limits)
        return record if new.shape is None else replace(record, **_card_shaped(keys, new.shape, about, record))

    async def _lease(
        self, new: NewValue, value: Sensitive, token: Token, tenant: str, vaulted: Sequence[int]
    ) -> NewLease:
        key = await self._lease_keys.sealing_key()
        sealed = seal(key, value, Binding(tenant, token, new.kind.name))
        card = vaulted.index(new.of) if new.of is not None else None
        ends = datetime.now(UTC) + self._settings.cvc_lifetime
        return NewLease(token.id, card, tenant, key.id, sealed, ends, new.card)


def _minted(new: NewValue, value: Sensitive) -> Token:
    token = mint(new.kind.token_prefix)
    if new.shape is None or new.kind.storage is not Storage.LEASE:
        return token
    # Any digits do: the code is found through its card's token.
    return replace(token, digits="0" * code_length(value))


def marks(keys: FingerprintKeys, kind: str, value: Sensitive) -> list[Mark]:
    """Return the fingerprints of a value by each key in use; it is found by the first."""
    in_use = [keys.active] if keys.successor is None else [keys.active, keys.successor]
    return [Mark(fingerprint(key, kind, value), key.id) for key in in_use]


class _CardShaped(TypedDict):
    candidates: Sequence[Candidate]
    fits: Callable[[str], bool]


def _card_shaped(keys: FingerprintKeys, shape: CardShape, about: Description, record: NewRecord) -> _CardShaped:
    """Return the card-shaped forms for one card, always the same ones for the same fingerprint."""
    seed = record.marks[0].fingerprint if record.marks else record.token.bytes
    label = f"card-token {shape.max_length} {shape.keep_bin} {shape.keep_last4} {shape.luhn}"
    entropy = (derived(keys.active, label, seed, bytes([number])) for number in range(CANDIDATES))
    forms = [card_token(shape, about, each) for each in entropy]
    candidates = [Candidate(marks(keys, PAN.name, Sensitive(digits)), digits) for digits in forms]
    return {"candidates": candidates, "fits": lambda digits: fits(shape, about, digits)}
