"""From references to what is opened for them: which sealed row answers each, under which key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from vault.crypto.data_key import DataKey
from vault.crypto.envelope import Binding, unseal
from vault.crypto.fingerprint import fingerprint
from vault.errors import CvcGone, NotAToken, TokenErased, TokenExpired, TokenOfOtherTenant, TokenUnknown
from vault.frozen import frozen
from vault.keys.keyring import Keyring
from vault.keys.lease_keys import LeaseKeys
from vault.kinds import PAN
from vault.policy import Permit
from vault.requests import Reference, Revealed
from vault.settings import VaultSettings
from vault.store.batch import Batcher
from vault.store.records import Records, SealedRow, Wanted
from vault.store.selection import Selection
from vault.tokens import Token

LOOK_UP_LIMIT = 512


@frozen
class Found:
    """A sealed row, the token that it was found for, and its key. Nothing is opened yet.

    `lease` and `spent` are the lease and the token of limited use that revealing it uses.
    """

    token: Token
    row: SealedRow
    key: DataKey
    lease: UUID | None
    spent: UUID | None

    def opened(self) -> Revealed:
        """Open it; raises RecordDoesNotOpen."""
        value = unseal(self.key, self.row.sealed, Binding(self.row.tenant, self.token, self.row.kind))
        return Revealed(value, self.token, self.lease, self.spent)


class Opening:
    """Finds for one vault, for many requests at once."""

    def __init__(self, keyring: Keyring, lease_keys: LeaseKeys, records: Records, settings: VaultSettings) -> None:
        self._keyring = keyring
        self._lease_keys = lease_keys
        self._settings = settings
        self._records = records
        self._rows: Batcher[Wanted, list[SealedRow]] = Batcher(records.find, limit=LOOK_UP_LIMIT)
        self._marks: Batcher[Sequence[bytes], dict[bytes, Token]] = Batcher(
            records.find_fingerprints, limit=LOOK_UP_LIMIT
        )

    async def close(self) -> None:
        await self._rows.close()
        await self._marks.close()

    async def by_token(self, references: Sequence[Reference], tenant: str) -> list[Reference]:
        """Return the references with the tokens that their digits are; raises NotAToken for digits that are none."""
        if not [each for each in references if each.digits is not None]:
            return list(references)
        changes = await self._keyring.changes()
        key = (await self._keyring.fingerprint_keys(tenant)).active
        marks = [None if each.digits is None else fingerprint(key, PAN.name, each.digits) for each in references]
        known = await self._marks.submit([mark for mark in marks if mark is not None])
        try:
            return [
                each if mark is None else _by_digits(each, known.get(mark))
                for each, mark in zip(references, marks, strict=True)
            ]
        except NotAToken:
            # The fingerprint key may have been replaced a moment ago.
            if await self._keyring.refresh() == changes:
                raise
        return await self.by_token(references, tenant)

    async def found(self, references: Sequence[Reference], permit: Permit, *, again: bool = False) -> list[Found]:
        """Return what answers each reference; raises a TokenRejected or a KeyFailure for the first that has nothing.

        `again`: tokens of limited use were used by the same request before.
        """
        settings = self._settings
        selection = Selection(references, permit, settings.cvc_lifetime, settings.cvc_attempts, again)
        found = await self._rows.submit(selection.wanted())
        try:
            rows = selection.choose(found)
        except TokenUnknown:
            await self._check_ended(references, permit.principal.tenant)
            raise
        return [await self._found(each, row) for each, row in zip(references, rows, strict=True)]

    async def _found(self, reference: Reference, row: SealedRow) -> Found:
        token, spent = _token(reference, row), None if row.max_uses is None else row.token
        if row.attempts is not None:
            return Found(token, row, await self._lease_key(row, reference), row.token, spent)
        if (key := self._keyring.opening_key_at_hand(row.data_key)) is None:
            key = await self._keyring.opening_key(row.data_key)
        return Found(token, row, key, None, spent)

    async def _check_ended(self, references: Sequence[Reference], tenant: str) -> None:
        """Raise TokenErased or TokenExpired if that is why a token has no record."""
        tokens = [each.token for each in references if each.token is not None]
        ended = await self._records.find_ended([each.id for each in tokens])
        for token in tokens:
            match ended.get(token.id):
                case (str(owner), _) if owner != tenant:
                    raise TokenOfOtherTenant(token=str(token))
                case (_, "erased"):
                    raise TokenErased(token=str(token))
                case (_, _):
                    raise TokenExpired(token=str(token))

    async def _lease_key(self, row: SealedRow, reference: Reference) -> DataKey:
        if (key := await self._lease_keys.opening_key(row.data_key)) is None:
            raise CvcGone(at=reference.at)
        return key


def _token(reference: Reference, row: SealedRow) -> Token:
    if (token := reference.token) is not None and token.prefix == reference.kind.token_prefix and row.attempts is None:
        return token
    digits = token.digits if token is not None else None
    return Token(reference.kind.token_prefix, row.token, digits)


def _by_digits(reference: Reference, known: Token | None) -> Reference:
    if known is None or known.digits is None:
        raise NotAToken(at=reference.at)
    return replace(reference, token=Token(reference.kind.token_prefix, known.id, known.digits), digits=None)
