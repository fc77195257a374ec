"""Card-shaped tokens: digits of the right length that give away what they may, and no more."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.cards import cards
from vault.card_tokens import SHORTEST, CardShape, card_token
from vault.issuers import issued
from vault.kinds import PAN, luhn_valid
from vault.sensitive import Sensitive

SHAPES = [CardShape(*each) for each in itertools.product((13, 16, 19), (True, False), (True, False), (True, False))]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_shape_is_kept_for_every_card(shape):
    for number in cards():
        token = card_token(shape, PAN.describe(Sensitive(number)), number.encode().rjust(32, b"\xa7"))
        assert token.isascii() and token.isdigit()
        assert len(token) == max(SHORTEST, min(len(number), shape.max_length))
        assert token.startswith(number[:6] if shape.keep_bin else "9")
        assert token.endswith(number[-4:]) or not shape.keep_last4
        assert luhn_valid(token) == shape.luhn
        if not shape.keep_bin:
            assert not issued(token) or token.startswith("9792")


@given(st.sampled_from(cards()), st.sampled_from(SHAPES), st.binary(min_size=32, max_size=32))
def test_every_entropy_gives_a_token_of_the_shape(number, shape, entropy):
    token = card_token(shape, PAN.describe(Sensitive(number)), entropy)
    assert luhn_valid(token) == shape.luhn
    assert len(token) <= shape.max_length
    assert card_token(shape, PAN.describe(Sensitive(number)), entropy) == token


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_different_entropy_gives_different_tokens(shape):
    about = PAN.describe(Sensitive("4242424242424242"))
    tokens = {card_token(shape, about, bytes([n]) * 32) for n in range(100)}
    free = min(16, shape.max_length) - (6 if shape.keep_bin else 1) - (4 if shape.keep_last4 else 0) - 1
    assert len(tokens) >= min(60, 10**free // 2)
    assert len({token[-4:] for token in tokens}) == 1 or not shape.keep_last4


def test_a_shortened_token_is_as_long_as_allowed():
    about = PAN.describe(Sensitive("6205500000000000004"))
    assert len(card_token(CardShape(max_length=16), about, bytes(32))) == 16
