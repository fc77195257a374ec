from __future__ import annotations

import time
from datetime import UTC, datetime
from uuid import RFC_4122, UUID

import pytest

from vault.tokens import Token, mint, mint_many, recognise, type_id, uuid7

# The valid examples of the TypeID specification (jetify-com/typeid, spec/valid.yml), version 0.3.
SPECIFICATION = [
    ("00000000000000000000000000", "00000000-0000-0000-0000-000000000000"),
    ("00000000000000000000000001", "00000000-0000-0000-0000-000000000001"),
    ("0000000000000000000000000a", "00000000-0000-0000-0000-00000000000a"),
    ("0000000000000000000000000g", "00000000-0000-0000-0000-000000000010"),
    ("00000000000000000000000010", "00000000-0000-0000-0000-000000000020"),
    ("7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ("0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
    ("01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057"),
]


@pytest.mark.parametrize(("suffix", "uuid"), SPECIFICATION)
def test_a_uuid_is_written_as_the_specification_has_it(suffix, uuid):
    assert type_id("prefix", UUID(uuid)) == f"prefix_{suffix}"


def test_the_specifications_example_of_a_uuid_7_is_recognised():
    token = recognise("tok_01h455vb4pex5vsknk084sn02q")
    assert token == Token("tok", UUID("01890a5d-ac96-774b-bcce-b302099a8057"))
    assert str(token) == "tok_01h455vb4pex5vsknk084sn02q"


def test_a_uuid_7_has_time_version_variant_and_74_random_bits():
    before = time.time_ns() // 1_000_000
    many = [uuid7() for _ in range(2000)]
    after = time.time_ns() // 1_000_000
    assert {(each.version, each.variant) for each in many} == {(7, RFC_4122)}
    assert all(before <= each.int >> 80 <= after for each in many)
    assert len(set(many)) == len(many)
    fixed = {*range(80, 128), *range(76, 80), 62, 63}
    for bit in set(range(128)) - fixed:
        ones = sum(each.int >> bit & 1 for each in many)
        assert 800 < ones < 1200, bit


def test_tokens_made_later_sort_later_also_as_text():
    tokens = []
    for _ in range(20):
        tokens.append(mint("tok"))
        time.sleep(0.002)
    assert sorted(tokens, key=lambda token: token.id) == tokens
    assert sorted(map(str, tokens)) == list(map(str, tokens))


def test_a_token_says_when_it_was_made():
    before = time.time_ns() // 1_000_000
    made = mint("tok").minted_at
    assert before <= made.timestamp() * 1000 <= time.time_ns() // 1_000_000 + 1
    assert made.tzinfo is UTC
    example = Token("tok", UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"))  # RFC 9562, appendix A.6
    assert example.minted_at == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


@pytest.mark.parametrize("prefix", ["tok", "cvc"])
def test_what_is_minted_is_recognised(prefix):
    for _ in range(500):
        token = mint(prefix)
        assert recognise(str(token)) == token
        assert len(str(token)) == 30


GOOD = "tok_01h455vb4pex5vsknk084sn02q"


def with_bits(version: int, variant: int) -> str:
    number = UUID("01890a5d-ac96-774b-bcce-b302099a8057").int
    number = number & ~(0xF << 76) | version << 76
    return type_id("tok", UUID(int=number & ~(3 << 62) | variant << 62))


def test_only_version_7_of_the_right_variant_is_a_token():
    for version in range(16):
        for variant in range(4):
            found = recognise(with_bits(version, variant))
            assert (found is not None) == (version == 7 and variant == 0b10), (version, variant)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tok",
        "tok_",
        "4242424242424242",
        # What a payment gateway calls a token, too.
        "tok_visa",
        "tok_1NjKkF2eZvKYlo2CYXnLj6eG",
        "tok_1MSRsy2eZvKYlo2Cbj8qnhHd",
        "tok_chargeDeclinedInsufficientFunds",
        "pm_1MqLiJLkdIwHu7ixUEgbFdYF",
        "card_1MvoiELkdIwHu7ixOeFGbN9D",
        "cvctok_1NjKkF2eZvKYlo2CYXnLj6eG",
        GOOD[4:],
        "_" + GOOD[4:],
        "pan" + GOOD[3:],
        "req" + GOOD[3:],
        "tokk" + GOOD[3:],
        "tok__" + GOOD[4:],
        "tok-" + GOOD[4:],
        "tok" + GOOD[4:],
        GOOD.upper(),
        "TOK" + GOOD[3:],
        "tok_" + GOOD[4:].upper(),
        GOOD[:-1] + "Q",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        " " + GOOD,
        GOOD + " ",
        GOOD + "\x00",
        f'"{GOOD}"',
        f"{GOOD} {GOOD}",
        "tok_" + "8" + GOOD[5:],
        "tok_" + "z" + GOOD[5:],
        *(GOOD[:10] + char + GOOD[11:] for char in "ilou-_.+/=@'\"é"),
        GOOD.replace("0", "\uff10"),
        GOOD.replace("0", "\u0660"),
        GOOD.replace("k", "\u212a"),  # the Kelvin sign, a `k` to case-insensitive matching
        GOOD.replace("s", "\u017f"),
        "t\u043ek" + GOOD[3:],
        GOOD + "\u200b",
        "\ufeff" + GOOD,
        "\ud800" + GOOD[1:],
        "cvc" + GOOD[3:-1],
        "01890a5d-ac96-774b-bcce-b302099a8057",
    ],
    ids=ascii,
)
def test_nothing_else_is_a_token(text):
    assert recognise(text) is None


def test_every_way_to_write_a_token_differently_is_refused():
    """One token, one text: no second spelling passes filters that look for the first."""
    for place, char in enumerate(GOOD):
        for other in (char.upper(), chr(ord(char) + 0xFEE0)):
            if other != char:
                assert recognise(GOOD[:place] + other + GOOD[place + 1 :]) is None


def test_many_at_once_are_all_different_and_of_version_7():
    found = mint_many("tok", 1000)
    assert len({str(each) for each in found}) == 1000
    assert {each.id.version for each in found} == {7}
    assert all(recognise(str(each)) == each for each in found)
