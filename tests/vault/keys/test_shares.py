"""Shares of a KEK: enough of them give it back, fewer do not, and a slip of the pen is noticed and not shown."""

from __future__ import annotations

import itertools
import random
import secrets
import traceback

import pytest
from shamir_mnemonic.wordlist import WORDLIST

from vault.errors import ShareRejected
from vault.keys import shares

STRANGER = "".join(["zzz", "canary"])  # not in a line of this file as it is looked for
# The standard's own vectors (SLIP-39), 256 bits, without a passphrase: shares made by others are combined.
VECTOR = {
    "words": (
        "theory painting academic academic armed sweater year military elder discuss acne wildlife boring employer "
        "fused large satoshi bundle carbon diagnose anatomy hamster leaves tracks paces beyond phantom capital marvel "
        "lips brave detect luck",
    ),
    "passphrase": b"TREZOR",
    "secret": "989baf9dcaad5b10ca33dfd8cc75e42477025dce88ae83e75a230086a0e00e92",
}


def test_the_vector_of_the_standard():
    from shamir_mnemonic import combine_mnemonics

    assert combine_mnemonics(VECTOR["words"], VECTOR["passphrase"]).hex() == VECTOR["secret"]


@pytest.mark.parametrize(("threshold", "count"), [(2, 2), (2, 3), (3, 5), (5, 5), (2, 16), (16, 16)])
def test_exactly_enough_shares_give_the_kek_whichever_they_are(threshold, count):
    kek = secrets.token_bytes(32)
    split = shares.split(kek, threshold, count)
    assert [share.number for share in split] == list(range(1, count + 1))
    assert {share.threshold for share in split} == {threshold}
    assert len({share.identifier for share in split}) == 1
    chosen = list(itertools.combinations(split, threshold))
    for some in random.Random(1).sample(chosen, min(len(chosen), 20)):  # noqa: S311
        assert shares.combine(random.Random(2).sample(some, threshold)) == kek  # noqa: S311


def test_fewer_shares_and_shares_of_two_keks_give_nothing():
    one, other = (shares.split(secrets.token_bytes(32), 3, 5) for _ in range(2))
    for some in ([], one[:1], one[:2], [one[0], one[0], one[1]], [*one[:2], other[2]], one[:4]):
        with pytest.raises(shares.DoNotCombine):
            shares.combine(some)


def test_a_share_is_read_as_people_write():
    share = shares.split(secrets.token_bytes(32), 2, 3)[1]
    words = share.words.split()
    assert len(words) == shares.WORDS
    assert {len(words) for words in (each.words.split() for each in shares.split(bytes(32), 2, 2))} == {33}
    numbered = "\n".join(f"{number}. {word}" for number, word in enumerate(words, 1))
    for text in (share.words.upper(), "  " + "\t \n".join(words) + "\r\n", numbered, numbered.replace(".", "")):
        assert shares.read(text) == share


def test_every_single_wrong_word_is_noticed_and_not_shown():
    words = shares.split(secrets.token_bytes(32), 3, 5)[0].words.split()
    rng = random.Random(3)  # noqa: S311
    for place in range(len(words)):
        for wrong in rng.sample([word for word in WORDLIST if word != words[place]], 5):
            changed = [*words[:place], wrong, *words[place + 1 :]]
            with pytest.raises(ShareRejected, match="checksum") as caught:
                shares.read(" ".join(changed))
            assert_shows_none_of([*words, wrong], caught.value)
        with pytest.raises(ShareRejected, match=f"word {place + 1} is not in the list") as caught:
            shares.read(" ".join([*words[:place], STRANGER, *words[place + 1 :]]))
        assert_shows_none_of([*words, STRANGER], caught.value)


def test_words_out_of_order_and_a_wrong_number_of_them_are_noticed():
    words = shares.split(secrets.token_bytes(32), 3, 5)[0].words.split()
    swapped = [words[1], words[0], *words[2:]]
    for text in (swapped, words[:-1], [*words, words[0]], words[::-1], [], words[:20]):
        with pytest.raises(ShareRejected) as caught:
            shares.read(" ".join(text))
        assert_shows_none_of(words, caught.value)


@pytest.mark.parametrize(
    "options", [(1, [(2, 3)], 1), (1, [(2, 3)], 15), (1, [(2, 3), (2, 2)], 0), (2, [(2, 3)] * 2, 0)]
)
def test_shares_of_other_forms_are_not_taken(options):
    from shamir_mnemonic.shamir import EncryptedMasterSecret, split_ems

    group_threshold, groups, exponent = options
    secret = EncryptedMasterSecret(7, True, exponent, bytes(32))  # as if it were encrypted: that takes minutes
    for share in split_ems(group_threshold, groups, secret)[0]:
        with pytest.raises(ShareRejected, match="not of a ceremony") as caught:
            shares.read(share.mnemonic())
        assert_shows_none_of(share.mnemonic().split(), caught.value)


def test_a_share_does_not_show_its_words():
    share = shares.split(secrets.token_bytes(32), 2, 2)[0]
    assert_shows_none_of(share.words.split(), share)


def assert_shows_none_of(words: list[str], shown: object) -> None:
    """Neither three of the words in a row, nor a word that no sentence of ours has, nor an exception that may."""
    text = f"{shown} {shown!r}"
    if isinstance(shown, BaseException):
        assert shown.__cause__ is None and shown.__context__ is None
        text += "".join(traceback.format_exception(shown))
    assert STRANGER not in text
    for three in zip(words, words[1:], words[2:], strict=False):
        assert " ".join(three) not in text
