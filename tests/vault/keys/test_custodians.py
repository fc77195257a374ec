"""Provider `custodians`: sealed until enough custodians gave their shares, and nothing else opens it."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path

import pytest

from vault.errors import (
    KekNotDestroyed,
    KekNotMade,
    KeyProviderUnavailable,
    KeyUnavailable,
    ShareRejected,
    SharesDoNotFit,
    VaultSealed,
)
from vault.key_settings import CustodiansSettings
from vault.keys import ceremony, shares
from vault.keys.custodian_record import KekRecord, append_record, read_record
from vault.keys.custodians import CustodiansKeyProvider
from vault.keys.keks import Keks
from vault.keys.providers import build

NAMES = ("anna", "bert", "cleo", "dora", "emil")
KEY, CONTEXT = b"0123456789abcdef0123456789abcdef", b"context"


def hold(record: Path, threshold: int = 3, names: tuple[str, ...] = NAMES) -> list[str]:
    """Hold a ceremony; return the shares."""
    made = ceremony.make(record, threshold, names)
    append_record(record, made.record)
    return [share.words for share in made.shares]


@pytest.fixture
def record(tmp_path) -> Path:
    return tmp_path / "custodians.json"


@pytest.fixture
def given(record) -> list[str]:
    """The shares of the first ceremony."""
    return hold(record)


@pytest.fixture
def provider(record, given) -> CustodiansKeyProvider:
    return CustodiansKeyProvider(CustodiansSettings(record))


async def assert_sealed(provider: CustodiansKeyProvider, given: int, needed: int = 3) -> None:
    kek = await provider.newest()
    for asked in (provider.wrap(kek, KEY, CONTEXT), provider.unwrap(kek, bytes(60), CONTEXT), provider.health()):
        with pytest.raises(VaultSealed) as caught:
            await asked
        assert caught.value.ids == {"given": given, "needed": needed}
        assert isinstance(caught.value, KeyProviderUnavailable)


async def test_it_is_sealed_until_the_last_share_that_is_needed(provider, given):
    await assert_sealed(provider, 0)
    for number, words in enumerate(given[:2], 1):
        taken = provider.give(words)
        assert (taken.custodian, taken.given, taken.needed, taken.opened) == (NAMES[number - 1], number, 3, False)
        await assert_sealed(provider, number)
    taken = provider.give(given[4])
    assert (taken.custodian, taken.given, taken.opened, taken.fresh) == ("emil", 3, True, True)
    await provider.health()
    kek = await provider.newest()
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    assert KEY not in wrapped
    assert await provider.unwrap(kek, wrapped, CONTEXT) == KEY
    with pytest.raises(KeyUnavailable):
        await provider.unwrap(kek, wrapped, b"other")


async def test_any_custodians_open_the_same_kek(record, provider, given):
    wrapped = None
    for some in itertools.combinations(given, 3):
        each = CustodiansKeyProvider(CustodiansSettings(record))
        for words in reversed(some):
            each.give(words)
        kek = await each.newest()
        wrapped = wrapped or await each.wrap(kek, KEY, CONTEXT)
        assert await each.unwrap(kek, wrapped, CONTEXT) == KEY


async def test_a_share_that_is_given_twice_counts_once(provider, given):
    for words in (given[0], given[0].upper(), given[0], given[1], given[0], given[1]):
        assert not provider.give(words).opened
    await assert_sealed(provider, 2)
    assert provider.give(given[2]).opened
    assert provider.give(given[2]) == provider.give(given[3]).__class__(
        kek=await provider.newest(), custodian="cleo", given=3, needed=3, opened=True, fresh=False
    )


async def test_a_mistyped_share_changes_nothing(provider, given):
    provider.give(given[0])
    words = given[1].split()
    with pytest.raises(ShareRejected):
        provider.give(" ".join([words[1], words[0], *words[2:]]))
    await assert_sealed(provider, 1)


async def test_a_share_of_another_ceremony_is_not_taken(tmp_path, provider, given):
    provider.give(given[0])
    provider.give(given[1])
    (stranger,) = hold(tmp_path / "other.json")[:1]
    assert provider.give(stranger) is None
    with pytest.raises(ShareRejected, match="another ceremony"):
        Keks([provider], None).give(stranger)
    await assert_sealed(provider, 2)


def forged(given: list[str], record: Path, *, threshold: int = 3) -> list[str]:
    """Shares of another KEK that claim to be of the same set."""
    from shamir_mnemonic.shamir import EncryptedMasterSecret, split_ems

    identifier = read_record(record)[0].identifier
    secret = EncryptedMasterSecret.from_master_secret(bytes(32), b"", identifier, True, 0)
    (group,) = split_ems(1, [(threshold, 5)], secret)
    assert shares.read(given[0]).identifier == identifier
    return [share.mnemonic() for share in group]


async def test_shares_that_do_not_open_the_kek_are_all_dropped(record, provider, given):
    stranger = forged(given, record)
    for attempt in ([given[0], given[1], stranger[2]], stranger[:3]):
        for words in attempt[:2]:
            provider.give(words)
        with pytest.raises(SharesDoNotFit) as caught:
            provider.give(attempt[2])
        assert caught.value.ids == {"key": await provider.newest(), "needed": 3}
        await assert_sealed(provider, 0)
    for words in given[1:3]:
        provider.give(words)
    assert provider.give(given[3]).opened


async def test_a_second_share_of_one_custodian_and_one_of_another_threshold_are_not_taken(record, provider, given):
    provider.give(given[0])
    with pytest.raises(ShareRejected, match="another share of anna"):
        provider.give(forged(given, record)[0])
    with pytest.raises(ShareRejected, match="not as"):
        provider.give(forged(given, record, threshold=2)[1])
    await assert_sealed(provider, 1)


async def test_shares_are_dropped_when_their_time_is_up(record, given):
    provider = CustodiansKeyProvider(CustodiansSettings(record), share_seconds=0.05)
    provider.give(given[0])
    provider.give(given[1])
    async with asyncio.timeout(30):
        while provider.sealed()[0].given:
            await asyncio.sleep(0.01)
    await assert_sealed(provider, 0)
    assert not provider._collected
    for words in given[:3]:
        taken = provider.give(words)
    assert taken.opened
    await asyncio.sleep(0.2)
    await provider.health()  # an open KEK has no such time


async def test_the_time_of_shares_is_an_hour(record, given):
    provider = CustodiansKeyProvider(CustodiansSettings(record))
    before = asyncio.get_running_loop().time()
    provider.give(given[0])
    timer = provider._collected[await provider.newest()].timer
    assert 3599 < timer.when() - before < 3601
    provider.seal()
    assert timer.cancelled()


async def test_nothing_of_the_shares_is_left_once_the_kek_is_open(provider, given):
    for words in given[:3]:
        provider.give(words)
    assert not provider._collected
    assert not any(word in repr(vars(provider)) for words in given for word in [words, words[:40]])


@pytest.mark.parametrize("close", [False, True])
async def test_sealing_forgets_the_kek_and_the_shares(provider, given, close):
    for words in given[:3]:
        provider.give(words)
    await provider.close() if close else provider.seal()
    await assert_sealed(provider, 0)
    assert not provider._open
    provider.give(given[0])
    provider.seal()
    await assert_sealed(provider, 0)


async def test_a_new_ceremony_is_noticed_and_each_kek_is_opened_by_its_own_shares(record, provider, given):
    first = await provider.newest()
    for words in given[:3]:
        provider.give(words)
    again = hold(record, 2, ("anna", "fred", "gina"))
    second = read_record(record)[-1].id
    assert first != second
    await provider.health()  # the second one is not needed yet
    assert (provider.give(again[1]).custodian, provider.give(again[1]).given) == ("fred", 1)
    with pytest.raises(VaultSealed) as caught:
        await provider.wrap(second, KEY, CONTEXT)
    assert caught.value.ids == {"given": 1, "needed": 2}
    with pytest.raises(VaultSealed):
        await provider.health()  # it was asked for, and is sealed
    assert provider.give(again[2]).opened
    await provider.health()
    assert await provider.newest() == second
    wrapped = await provider.wrap(first, KEY, CONTEXT)
    with pytest.raises(KeyUnavailable):
        await provider.unwrap(second, wrapped, CONTEXT)


async def test_which_keks_have_to_be_opened(record, provider, given):
    first = await provider.newest()
    assert [waiting.kek for waiting in provider.sealed()] == [first]
    hold(record)
    second = read_record(record)[-1].id
    assert [waiting.kek for waiting in provider.sealed(first, second)] == [first, second]
    with pytest.raises(VaultSealed):
        await provider.unwrap(first, bytes(60), CONTEXT)
    assert [waiting.kek for waiting in provider.sealed()] == [first]
    for words in given[:3]:
        provider.give(words)
    assert provider.sealed() == []
    assert [waiting.kek for waiting in provider.sealed(first, second)] == [second]


async def test_keks_that_are_not_its_own(provider):
    assert not provider.holds("kek_1")
    assert not provider.holds("custodians_1")
    for kek in ("kek_1", "custodians_1"):
        with pytest.raises(KeyUnavailable) as caught:
            await provider.wrap(kek, KEY, CONTEXT)
        assert not isinstance(caught.value, KeyProviderUnavailable)


async def test_keks_are_made_and_destroyed_by_people(provider):
    with pytest.raises(KekNotMade, match="custodians"):
        await provider.make(None)
    with pytest.raises(KekNotDestroyed, match="custodians"):
        await provider.destroy(await provider.newest())


def change(record: Path, **members) -> None:
    document = json.loads(record.read_text())
    document["keks"][0] |= members
    record.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "members",
    [
        {"custodians": ["anna", "bert", "mallory", "dora", "emil"]},
        {"custodians": ["bert", "anna", "cleo", "dora", "emil"]},
        {"id": "custodians_0123456789abcdef0123456789abcdef"},
        {"made_at": "2020-01-01T00:00:00Z"},
        {"check": KekRecord.of(bytes(32), 3, NAMES, 1).document()["check"]},
        {"check": ""},
    ],
    ids=["another name", "another order", "another id", "another time", "another check", "no check"],
)
async def test_a_changed_record_opens_nothing(record, given, members):
    change(record, **members)
    provider = build(CustodiansSettings(record))
    for words in given[:2]:
        provider.give(words)
    with pytest.raises(SharesDoNotFit):
        provider.give(given[2])
    assert not provider._open


async def test_a_record_with_a_lower_threshold_lets_no_fewer_custodians_open(record, given):
    change(record, threshold=2)
    provider = build(CustodiansSettings(record))
    for words in given:
        with pytest.raises(ShareRejected):
            provider.give(words)


async def test_the_kek_does_not_show(provider, given):
    for words in given[:3]:
        provider.give(words)
    (kek,) = provider._open.values()
    shown = f"{provider} {provider!r} {provider.describe()} {Keks([provider], None)!r}"
    for form in (kek.hex(), repr(kek)[2:-1], given[0]):
        assert form not in shown
    assert provider.describe().provider == "custodians"
