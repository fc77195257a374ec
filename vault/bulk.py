"""Many values of one call, most of them new: looked up at once, sealed in portions, copied in.

Rules:
1. It is for plain values of one kind: reusable, without shapes and limits of their own. All others go the ordinary way.
2. Where something is in between (another process was faster, a card was erased, keys were changed), nothing of it is
   kept, and all goes the ordinary way, which finds out what it was.
3. Between portions whatever else the process does has its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from vault.audit.event import Outcome
from vault.crypto.envelope import seal_all
from vault.crypto.fingerprint import fingerprint
from vault.keys.keyring import Keyring, TenantKeys
from vault.kinds import Kind, Storage
from vault.recorded import event
from vault.requests import UNLIMITED, Context, NewValue
from vault.sensitive import Sensitive
from vault.settings import VaultSettings
from vault.store.bulk import BulkWriter, NewRows
from vault.store.copying import TokenRows
from vault.store.records import Records
from vault.tokens import Token, mint_many

LEAST = 200
PORTION = 50
AT_ONCE = 2


class Bulk:
    """Takes in many values at once, for one vault."""

    def __init__(self, keyring: Keyring, records: Records, writer: BulkWriter, settings: VaultSettings) -> None:
        self._settings = settings
        self._keyring = keyring
        self._records = records
        self._writer = writer
        self._places = asyncio.Semaphore(AT_ONCE)

    async def tokenize(self, values: Sequence[NewValue], tenant: str, context: Context) -> list[Token] | None:
        """Return one token per value, or None if they have to go the ordinary way: then nothing was stored.

        Raises ValueRejected, KeyFailure or StoreError.
        """
        if len(values) < LEAST or not self._settings.reuse_tokens or not _are_plain(values):
            return None
        async with self._places:
            made = await self._made(values, tenant, context)
        if made is None or not await self._writer.write(made[0]):
            return None
        return made[1]

    async def _made(
        self, values: Sequence[NewValue], tenant: str, context: Context
    ) -> tuple[NewRows, list[Token]] | None:
        """Return what is to be written, and the token of each value."""
        keys = await self._keyring.tenant_keys(tenant, len(values))
        if keys.fingerprints.successor is not None:
            return None
        normal, marks = await _marked(values, keys)
        (known,) = await self._records.find_fingerprints([marks])
        if any(token.digits is not None for token in known.values()):
            return None
        unknown = {mark: value for mark, value in zip(marks, normal, strict=True) if mark not in known}
        records, new = await _sealed(unknown, values[0].kind, keys, tenant)
        given = known | new
        tokens = [given[mark] for mark in marks]
        done = event(context, "tokenize", Outcome.PERMITTED, tenant=tenant, tokens=tokens)
        key = keys.fingerprints.active.id
        return NewRows(records, new, key, set(known.values()), keys.changes, done), tokens


def _are_plain(values: Sequence[NewValue]) -> bool:
    kind = values[0].kind
    return (
        kind.storage is Storage.VAULT
        and kind.reusable
        and all(
            each.kind is kind and each.shape is None and not each.fresh and each.limits is UNLIMITED for each in values
        )
    )


async def _marked(values: Sequence[NewValue], keys: TenantKeys) -> tuple[list[Sensitive], list[bytes]]:
    """Return the values as they are stored, and their fingerprints."""
    kind, key = values[0].kind, keys.fingerprints.active
    normal: list[Sensitive] = []
    for portion in _portions(len(values)):
        normal += [kind.normalise(each.value, each.at) for each in values[portion]]
        await asyncio.sleep(0)
    marks: list[bytes] = []
    for portion in _portions(len(values)):
        marks += [fingerprint(key, kind.name, value) for value in normal[portion]]
        await asyncio.sleep(0)
    return normal, marks


async def _sealed(
    values: Mapping[bytes, Sensitive], kind: Kind, keys: TenantKeys, tenant: str
) -> tuple[list[bytes], dict[bytes, Token]]:
    """Seal values, given by their fingerprints; return their rows, and their tokens by fingerprints."""
    made, found = TokenRows(tenant, kind.name, keys.sealing.id), list[bytes]()
    tokens = mint_many(kind.token_prefix, len(values))
    pairs = list(zip(values.values(), tokens, strict=True))
    for portion in _portions(len(pairs)):
        for (value, token), sealed in zip(
            pairs[portion], seal_all(keys.sealing, pairs[portion], tenant, kind.name), strict=True
        ):
            about = kind.describe(value)
            found.append(made.row(token, sealed, about.brand, about.last4))
        await asyncio.sleep(0)
    return found, dict(zip(values, tokens, strict=True))


def _portions(count: int) -> Iterator[slice]:
    return (slice(at, at + PORTION) for at in range(0, count, PORTION))
