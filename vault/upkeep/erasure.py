"""Erasing tokens: by their names, or by the customer that they belong to. The receipt is a signed note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from vault.audit.event import Event, Outcome, canonical, timestamp
from vault.crypto.data_key import KeyState, Purpose
from vault.crypto.fingerprint import fingerprint
from vault.errors import TokensNotFound
from vault.keys.keks import EVERY_TENANT
from vault.kinds import PAN
from vault.recorded import by_operator
from vault.sensitive import Sensitive
from vault.store.audit import append
from vault.store.database import Database, Role, translated
from vault.store.keychain import keys_in_state
from vault.store.tokens import EndedToken, TokenRow, erase_tokens, find_marked, find_token, forget_customers, tokens_of
from vault.tokens import recognise, type_id
from vault.upkeep.keychain.signing import signed
from vault.upkeep.keychain.work import Work

__all__ = ["EndedToken", "Erasure", "TokenRow", "Work", "erase", "known", "resolve", "show", "wanted"]

BATCH = 500


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be erased: tokens, and customers' names of tokens that stay, as other customers have them, too.

    `named` are those of the tokens that go whoever has them.
    """

    tokens: Sequence[UUID]
    customers: Sequence[str] = ()
    shared: Sequence[UUID] = field(default=())
    named: Sequence[UUID] = field(default=())


async def resolve(work: Work, text: str, tenant: str) -> UUID:
    """Return the token that a text is: a TypeID, or the digits of a card-shaped one of a tenant's.

    Raises TokensNotFound. Whatever was given is not quoted: it may be a card number.
    """
    if (token := recognise(text)) is not None and token.prefix == PAN.token_prefix:
        return token.id
    if text.isascii() and text.isdigit():
        rows = await keys_in_state(work.connection, Purpose.FINGERPRINT, [KeyState.ACTIVE], tenant)
        keys = [await work.keyring.opening_key(row.id) for row in rows]
        marks = [fingerprint(key, PAN.name, Sensitive(text)) for key in keys]
        if (found := await find_marked(work.connection, marks, text)) is not None:
            return found
    raise TokensNotFound(what=f"of tenant {tenant} that looks like this")


async def show(work: Work, text: str, tenant: str) -> TokenRow | EndedToken:
    """Return what is known of a token; raises TokensNotFound."""
    found = await find_token(work.connection, await resolve(work, text, tenant))
    if found is None:
        raise TokensNotFound(what="by this name")
    return found


async def known(database: Database, text: str) -> TokenRow | EndedToken | None:
    """Return what is known of a token by its TypeID, without any key; None for anything else."""
    token = recognise(text)
    if token is None or token.prefix != PAN.token_prefix:
        return None
    connection = await database.connect(Role.OWNER)
    try:
        return await find_token(connection, token.id)
    finally:
        await connection.close()


async def wanted(work: Work, tokens: Sequence[str], customers: Sequence[str], tenant: str) -> Erasure:
    """Return what is to be erased of a tenant's.

    Raises TokensNotFound for a token that never was or is another tenant's, and for a customer without any.
    """
    found = [await show(work, text, tenant) for text in tokens]
    if any(each.tenant != tenant for each in found):
        raise TokensNotFound(what=f"of tenant {tenant} by this name")
    return await _wanted(work, [each.token for each in found], customers, tenant)


async def _wanted(work: Work, named: Sequence[UUID], customers: Sequence[str], tenant: str) -> Erasure:
    tokens, shared = set(named), set[UUID]()
    for customer in customers:
        owned = await tokens_of(work.connection, tenant, customer, customers)
        if not owned:
            raise TokensNotFound(what="of this customer")
        tokens |= {each.token for each in owned if not each.shared}
        shared |= {each.token for each in owned if each.shared}
    return Erasure(sorted(tokens), customers, sorted(shared), sorted(set(named)))


async def _still(work: Work, erasure: Erasure, tenant: str) -> Erasure:
    """Return what is to be erased without the tokens that other customers have got since."""
    owned = [
        each
        for customer in erasure.customers
        for each in await tokens_of(work.connection, tenant, customer, erasure.customers)
    ]
    late = {each.token for each in owned if each.shared} - {*erasure.named}
    tokens, shared = sorted({*erasure.tokens} - late), sorted({*erasure.shared} | late)
    return replace(erasure, tokens=tokens, shared=shared)


async def erase(work: Work, erasure: Erasure, tenant: str) -> str:
    """Erase records, fingerprints and leases; return the receipt. Given again, it goes on where it was.

    The key that signs the receipt is looked at first: without a receipt nothing is erased.
    """
    row = await work.keyring.active_row(EVERY_TENANT, Purpose.SIGNING)
    await work.keyring.opening_key(row.id)
    erasure = await _still(work, erasure, tenant)
    erased: list[UUID] = []
    for start in range(0, len(erasure.tokens), BATCH):
        erased += await _erase(work, erasure.tokens[start : start + BATCH])
        work.progress(start + BATCH, len(erasure.tokens))
    if erasure.shared:
        await _forget(work, erasure, tenant)
    return await signed(work, _receipt(erasure, erased))


async def _forget(work: Work, erasure: Erasure, tenant: str) -> None:
    at = datetime.now(UTC)
    kept = [(token, tenant) for token in erasure.shared]
    with translated():
        async with work.connection.transaction():
            await forget_customers(work.connection, tenant, erasure.customers, erasure.shared)
            await append(work.connection, [replace(_event(at, tenant, kept), action="erase.customer")])


async def _erase(work: Work, tokens: Sequence[UUID]) -> list[UUID]:
    at = datetime.now(UTC)
    with translated():
        async with work.connection.transaction():
            gone = await erase_tokens(work.connection, tokens, at)
            tenants = sorted({tenant for _, tenant in gone})
            if gone:
                await append(work.connection, [_event(at, tenant, gone) for tenant in tenants])
    return [token for token, _ in gone]


def _event(at: datetime, tenant: str, gone: Sequence[tuple[UUID, str]]) -> Event:
    names = tuple(type_id("tok", token) for token, owner in gone if owner == tenant)
    erased = Event(at=at, action="erase", outcome=Outcome.PERMITTED, tenant=tenant, tokens=names)
    return replace(erased, origin=by_operator())


def _receipt(erasure: Erasure, erased: Sequence[UUID]) -> str:
    names = {what: [type_id("tok", each) for each in tokens] for what, tokens in _parts(erasure, erased).items()}
    document: dict[str, object] = {
        "type": "panless token erasure receipt",
        "v": 1,
        "at": timestamp(datetime.now(UTC)),
        "customers": len(erasure.customers),
        **names,
    }
    return canonical(document).decode() + "\n"


def _parts(erasure: Erasure, erased: Sequence[UUID]) -> dict[str, Sequence[UUID]]:
    before = [token for token in erasure.tokens if token not in set(erased)]
    return {"erased": erased, "gone_before": before, "kept_for_other_customers": erasure.shared}
