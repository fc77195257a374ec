"""The authority at work: leaves are kept, renewed before they end, and replaced with their authority."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from vault import authority as module
from vault.authority import Authority
from vault.crypto.certificates import new_authority, new_leaf
from vault.errors import AuthorityMissing, AuthorityNextExists, AuthorityNextMissing, KeyUnavailable
from vault.keys.authority_key import authority_secret, make_authority
from vault.tokens import uuid7
from vault.upkeep.authorities import activate, authorities, ensure_authority, make_next, trusted


@pytest.fixture
async def opened(database, keks):
    await ensure_authority(keks, database)
    authority = await Authority.open(keks, database)
    yield authority
    await authority.close()


async def test_the_first_authority_is_made_once_also_by_many_at_once(database, keks):
    with pytest.raises(AuthorityMissing):
        await Authority.open(keks, database)
    made = await asyncio.gather(*(ensure_authority(keks, database) for _ in range(5)))
    assert sorted(made) == [False] * 4 + [True]
    assert len(await authorities(keks, database)) == 1


async def test_a_leaf_is_made_once_for_many_who_ask(opened):
    first, *rest = await asyncio.gather(*(opened.leaf("a.example") for _ in range(10)))
    assert all(each is first for each in rest)
    assert await opened.leaf("b.example") is not first


async def test_a_leaf_is_renewed_before_it_ends(opened, monkeypatch):
    first = await opened.leaf("a.example")
    monkeypatch.setattr(module, "RENEWED_BEFORE", timedelta(days=29))
    assert await opened.leaf("a.example") is first
    monkeypatch.setattr(module, "RENEWED_BEFORE", timedelta(days=31))
    assert await opened.leaf("a.example") is not first


async def test_a_leaf_goes_with_its_authority(opened, keks, database, monkeypatch):
    first = await opened.leaf("a.example")
    with pytest.raises(AuthorityNextMissing):
        await activate(keks, database)
    made = await make_next(keks, database)
    with pytest.raises(AuthorityNextExists):
        await make_next(keks, database)
    assert await activate(keks, database) == made.id
    assert await opened.leaf("a.example") is first  # not looked at again yet
    monkeypatch.setattr(module, "CHECK_SECONDS", -1)
    second = await opened.leaf("a.example")
    x509.load_pem_x509_certificate(second.pem).verify_directly_issued_by(x509.load_pem_x509_certificate(made.pem))


async def test_a_leaf_is_not_made_while_the_authority_cannot_be_looked_at(opened, owner, monkeypatch):
    await opened.leaf("a.example")
    await owner.execute("UPDATE authorities SET state = 'deactivated'")
    monkeypatch.setattr(module, "CHECK_SECONDS", -1)
    with pytest.raises(AuthorityMissing):
        await opened.leaf("a.example")


async def test_a_row_that_was_changed_signs_nothing_and_is_not_exported(opened, keks, database, owner):
    await make_next(keks, database)
    assert len(await trusted(keks, database)) == 2
    await owner.execute(
        "UPDATE authorities SET certificate = (SELECT certificate FROM authorities WHERE state = 'pre-active')"
        " WHERE state = 'active'"
    )
    with pytest.raises(KeyUnavailable):
        await opened.leaf("a.example")
    with pytest.raises(KeyUnavailable):
        await trusted(keks, database)
    with pytest.raises(KeyUnavailable):
        await activate(keks, database)


async def test_a_wrapped_key_unwraps_beside_its_own_id_and_certificate_only(keks):
    first, second = await make_authority(keks, "active"), await make_authority(keks, "pre-active")
    assert len(await authority_secret(keks, first)) == 32
    for moved in (replace(first, id=second.id), replace(first, certificate=second.certificate)):
        with pytest.raises(KeyUnavailable):
            await authority_secret(keks, moved)


def test_a_leaf_ends_with_its_authority_at_the_latest():
    now = datetime.now(UTC)
    certificate, secret = new_authority(uuid7(), now - timedelta(days=3640))
    leaf = new_leaf(certificate, secret, "a.example", now)
    assert leaf.not_after == x509.load_der_x509_certificate(certificate).not_valid_after_utc
    assert leaf.not_after - now < timedelta(days=11)


def test_nothing_shows_a_private_key():
    now = datetime.now(UTC)
    leaf = new_leaf(*new_authority(uuid7(), now), "a.example", now)
    assert b"PRIVATE KEY" in leaf.pem
    assert "PRIVATE" not in f"{leaf!r} {leaf}"
