"""Sealed documents: bound to their rows, sealed again with everything else, lost with their keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.state.documents import document_part, document_values
from proxy.state.pool import reading_keys
from proxy.state.store import State
from vault.errors import KeyDestroyed, KeysChanged, RecordDoesNotOpen
from vault.tokens import uuid7
from vault.upkeep.keychain.destruction import destroy_tenant
from vault.upkeep.keychain.seal import reseal, rotate_data_keys

INSERT = f"WITH {document_part(1)} SELECT changed FROM keys_part"
DATA = b"\x00\xff a request of some customer's"


async def stored(vault, pool, tenant: str = "default"):
    document = await vault.documents.seal("answer", tenant, DATA)
    with reading_keys():
        await pool.execute(INSERT, *document_values(document))
    return document


async def test_a_document_opens_as_it_was_sealed(vault, open_pool):
    pool = await open_pool()
    document = await stored(vault, pool)
    found = await State(pool).document(document.id, "answer")
    assert DATA not in found.sealed
    assert await vault.documents.open(found) == DATA


@pytest.mark.parametrize("change", [{"tenant": "other"}, {"kind": "request"}, {"id": uuid7()}])
async def test_moved_to_another_row_it_does_not_open(vault, open_pool, change):
    document = await stored(vault, await open_pool())
    with pytest.raises(RecordDoesNotOpen):
        await vault.documents.open(replace(document, **change))


async def test_every_flipped_bit_is_noticed(vault, open_pool):
    document = await stored(vault, await open_pool())
    for place in range(len(document.sealed)):
        flipped = bytearray(document.sealed)
        flipped[place] ^= 1
        with pytest.raises(RecordDoesNotOpen):
            await vault.documents.open(replace(document, sealed=bytes(flipped)))


async def test_a_document_that_was_sealed_before_keys_changed_is_not_written(vault, open_pool, working):
    pool = await open_pool()
    document = await vault.documents.seal("answer", "default", DATA)
    async with working() as work:
        await rotate_data_keys(work)
    with pytest.raises(KeysChanged), reading_keys():
        await pool.execute(INSERT, *document_values(document))
    with pytest.raises(RecordDoesNotOpen):
        await State(pool).document(document.id, "answer")
    await vault._keyring.refresh()
    await stored(vault, pool)


async def test_documents_are_sealed_again_with_the_records(vault, open_pool, working):
    pool = await open_pool()
    document = await stored(vault, pool)
    async with working() as work:
        await rotate_data_keys(work)
        assert await reseal(work) == 1
    found = await State(pool).document(document.id, "answer")
    assert found.data_key != document.data_key
    assert await vault.documents.open(found) == DATA


async def test_documents_go_with_the_keys_of_their_tenant(vault, open_pool, working):
    pool = await open_pool()
    document = await stored(vault, pool, "acme")
    async with working() as work:
        receipt = await destroy_tenant(work, "acme")
    assert '"records_unreadable":1' in receipt
    await vault._keyring.refresh()
    with pytest.raises(KeyDestroyed):
        await vault.documents.open(await State(pool).document(document.id, "answer"))
