"""From new values to what is written of them: checked, sealed, fingerprinted, each with a token of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypedDict

from vault.card_tokens import CardShape, card_token, fits
from vault.crypto.data_key import DataKey
from vault.crypto.envelope import Binding, seal
from vault.crypto.fingerprint import derived, fingerprint
from vault.frozen import frozen
from vault.keys.keyring import FingerprintKeys, Keyring, TenantKeys
from vault.keys.lease_keys import LeaseKeys
from vault.kinds import PAN, Description, Kind, Storage, code_length
from vault.requests import UNLIMITED, NewValue
from vault.sensitive import Sensitive
from vault.settings import VaultSettings
from vault.store.records import Candidate, Content, Mark, NewLease, NewRecord
from vault.tokens import Token, mint

CANDIDATES = 8


@frozen
class Sealed:
    """Values ready to be written. `minted`: the tokens of those that have no records; `records` are those of the
    others, in order; `changes`: the number of the last key change when their keys were taken.
    """

    minted: Sequence[Token | None]
    records: Sequence[NewRecord]
    leases: Sequence[NewLease]
    changes: int | None

    def tokens(self, final: Sequence[Token]) -> list[Token]:
        """Return the token of each value; `final` is what the writer gives for the records."""
        stored = iter(final)
        return [next(stored) if token is None else token for token in self.minted]


class Sealing:
    """Seals for one vault. What may be known already is sealed only when it turns out to be new."""

    def __init__(self, keyring: Keyring, lease_keys: LeaseKeys, settings: VaultSettings) -> None:
        self._keyring = keyring
        self._lease_keys = lease_keys
        self._settings = settings

    async def sealed(self, values: Sequence[NewValue], tenant: str) -> Sealed:
        """Seal values of one request; raises the ValueRejected of the first that its kind does not take."""
        normal = [each.kind.normalise(each.value, each.at) for each in values]
        vaulted = [i for i, each in enumerate(values) if each.kind.storage is Storage.VAULT]
        records: list[NewRecord] = []
        changes = None
        if vaulted:
            keys = await self._keyring.tenant_keys(tenant, len(vaulted))
            records = [self._record(values[i], normal[i], tenant, keys) for i in vaulted]
            changes = keys.changes
        if len(vaulted) == len(values):
            return Sealed([None] * len(values), records, (), changes)
        minted = [_minted(each, value) for each, value in zip(values, normal, strict=True)]
        leases = [
            await self._lease(each, value, token, tenant, vaulted)
            for each, value, token in zip(values, normal, minted, strict=True)
            if token is not None and each.kind.storage is Storage.LEASE
        ]
        return Sealed(minted, records, leases, changes)

    def _record(self, new: NewValue, value: Sensitive, tenant: str, keys: TenantKeys) -> NewRecord:
        kind = new.kind
        reused = self._settings.reuse_tokens and kind.reusable and not new.fresh and new.limits == UNLIMITED
        made_of = marks(keys.fingerprints, kind.name, value) if reused else ()
        if new.shape is None:
            return NewRecord(
                made_of, tenant, kind.name, partial(_content, keys.sealing, value, kind, tenant), limits=new.limits
            )
        token, about = mint(kind.token_prefix), kind.describe(value)
        seed = made_of[0].fingerprint if made_of else token.raw
        make = partial(_content, keys.sealing, value, kind, tenant, token)
        shaped = _card_shaped(keys.fingerprints, new.shape, about, seed)
        return NewRecord(made_of, tenant, kind.name, make, limits=new.limits, **shaped)

    async def _lease(
        self, new: NewValue, value: Sensitive, token: Token, tenant: str, vaulted: Sequence[int]
    ) -> NewLease:
        key = await self._lease_keys.sealing_key()
        sealed = seal(key, value, Binding(tenant, token, new.kind.name))
        card = vaulted.index(new.of) if new.of is not None else None
        ends = datetime.now(UTC) + self._settings.cvc_lifetime
        return NewLease(token, card, tenant, key.id, sealed, ends, new.card)


def _content(key: DataKey, value: Sensitive, kind: Kind, tenant: str, token: Token | None = None) -> Content:
    """Seal a value for the token that it gets, or for a new one."""
    token = token or mint(kind.token_prefix)
    about = kind.describe(value)
    return Content(token, key.id, seal(key, value, Binding(tenant, token, kind.name)), about.brand, about.last4)


def _minted(new: NewValue, value: Sensitive) -> Token | None:
    """Return the token of a value that gets no record."""
    if new.kind.storage is Storage.VAULT:
        return None
    token = mint(new.kind.token_prefix)
    if new.shape is None or new.kind.storage is not Storage.LEASE:
        return token
    # Any digits do: the code is found through its card's token.
    return token.with_digits("0" * code_length(value))


def marks(keys: FingerprintKeys, kind: str, value: Sensitive) -> list[Mark]:
    """Return the fingerprints of a value by each key in use; it is found by the first."""
    active = keys.active
    first = Mark(fingerprint(active, kind, value), active.id)
    if (successor := keys.successor) is None:
        return [first]
    return [first, Mark(fingerprint(successor, kind, value), successor.id)]


class _CardShaped(TypedDict):
    candidates: Sequence[Candidate]
    fits: Callable[[str], bool]


def _card_shaped(keys: FingerprintKeys, shape: CardShape, about: Description, seed: bytes) -> _CardShaped:
    """Return the card-shaped forms for one card, always the same ones for the same fingerprint."""
    label = f"card-token {shape.max_length} {shape.keep_bin} {shape.keep_last4} {shape.luhn}"
    entropy = (derived(keys.active, label, seed, bytes([number])) for number in range(CANDIDATES))
    forms = [card_token(shape, about, each) for each in entropy]
    candidates = [Candidate(marks(keys, PAN.name, Sensitive(digits)), digits) for digits in forms]
    return {"candidates": candidates, "fits": lambda digits: fits(shape, about, digits)}
