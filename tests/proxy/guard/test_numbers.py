"""What the guard takes for a card number, and what it leaves alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.guard import numbers
from proxy.guard.numbers import card_numbers
from proxy.guard.others import is_parcel
from proxy.rewrite.errors import TooManyNumbers
from tests.guard_corpus.cards import _GROUPS
from tests.guard_corpus.numbers import grouped
from tests.harness.cards import cards
from vault.issuers import issued

CARDS = [number for number in cards() if issued(number)]
VISA, AMEX = "4111111111111111", "378282246310005"
IN_FOURS, IN_AMEX = "4111 1111 1111 1111", "3782 822463 10005"


def found(text: str) -> set[str]:
    data = text.encode()
    return {data[start:end].decode() for start, end in card_numbers(data)}


def test_nearly_all_test_cards_are_of_a_known_brand():
    assert len(CARDS) >= len(cards()) - 3
    assert {len(number) for number in CARDS} >= {13, 14, 15, 16, 19}


@pytest.mark.parametrize("number", CARDS)
@pytest.mark.parametrize("separator", ["", " ", "-", ".", "/", "_", "+", "  ", " - "])
def test_every_card_is_found_plain_and_grouped(number, separator):
    written = grouped(number, _GROUPS.get(len(number), (4, 4, 4, 4)), separator)
    for around in ("{}", '{{"n":"{}"}}', "pay {} now", "a={}&b=1", "<n>{}</n>", "{}, 10.00 EUR", "1,{},12,30"):
        assert found(around.format(written)) >= {written}, around


@pytest.mark.parametrize("written", [VISA, IN_FOURS, AMEX, IN_AMEX])
@pytest.mark.parametrize(
    "around",
    [
        "{} 12/30 123", "{} 1230 123", "{}, 2030-12, 1234", "12/30 {}", "{};2030;7", "2026-11-22 10:00:00 {}",
        "card{}", "cardnumber:{}", "pan_{}_x", "1700000000000 {}", "10.0.0.1 {}", "3.50 {}", "{}. 2 items",
        "paid 3. {}", "+1 555 0100, {}", "{{\"t\":1700000000000,\"n\":\"{}\"}}",
    ],
)  # fmt: skip
def test_a_card_is_found_beside_other_numbers(written, around):
    assert written in found(around.format(written))


@pytest.mark.parametrize(
    "text",
    [
        f"cardnumber{VISA}", f"shipment{VISA}", f"{VISA}DOE", f";{VISA}=30121010000000000000?",
        f"{VISA}D30121010000000000F", f"B{VISA}^DOE/JANE^3012", f"-{VISA}", f"{VISA}.0", f"{VISA}.00", f"{VISA}e0",
        f"{VISA} 5555555555554444", f"{VISA}-5555555555554444", "4111 1111 1111 1111 5555 5555 5555 4444",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "41 11 11 11 11 11 11 11", "411111 1111111111", "x-4111-1111-1111-1111",
    ],
)  # fmt: skip
def test_a_card_is_found_in_unusual_places(text):
    assert any(each.translate(str.maketrans("", "", " -")) == VISA for each in found(text))


@pytest.mark.parametrize("text", ["4.111111111111111e15", "4.111111111111111E+15", '{"n":4.111111111111111e+15}'])
def test_a_card_is_found_as_a_number_with_an_exponent(text):
    assert found(text)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112", "4111 1111 1111 1112", "0000000000000000", "4444444444444444",  # check digit; one digit
        "1700000000000", "1700000000000000", "1700000000000000003", "20261122101112", "2026-11-22T10:11:12.123456Z",
        "41111111-1111-4111-8111-111111111111", "44111111-1111-1111-4111-111111111116", "4111-1111-1111-1111-abcd1",
        "0.4111111111111111", "52.4111111111111111, 13.4111111111111111", "1700000000.411111111111",
        "deadbeefcafe4111111111111111", "4111111111111111abcdefabc", "4111111111111111D49551498ee0560",
        "411111111111111111111111", "0004111111111111111", "4111111111111111" * 2,
        "+49 602 70890487", "+615596703046", "+44 4111 11111111", "(411) 111-1111", "010 4111 1111",
        "4.111.111.111", "10.41.11.11 111.11.11.11", "4111.11.11.1111.1111", "620.463.1676.392.528",
        "EUR 4,111,111,111,111.11", "41111111111.11", "353879234252633", "490154203237518",
        "1Z140I578975003273", "GB82 WEST 1234 5698 7654 32", "DE89 3704 0044 0532 0130 00", "DK5000400440116243",
        "GB53+OATH+6230+6375+8768+65", "4111.1111.1111.111", "4111 1111 1111 11 11 1 1111",
    ],
)  # fmt: skip
def test_ordinary_numbers_are_left_alone(text):
    if text == "4111-1111-1111-1111-abcd1":
        assert found(text), "no UUID, though it looks a little like one"
    else:
        assert not found(text)


def test_a_parcel_is_told_by_its_form_and_check_digit():
    good = "940011020088123456789" + str(_gs1("940011020088123456789"))
    assert is_parcel(fours(good))
    assert not found(grouped(good, (4, 4, 4, 4, 4), " "))
    assert not is_parcel(fours(good[:-1] + str((int(good[-1]) + 1) % 10)))
    assert not is_parcel(fours("4" + good[1:]))
    assert not is_parcel([good.encode()])
    assert not is_parcel([good[:6].encode(), good[6:].encode()])


def fours(number: str) -> list[bytes]:
    return grouped(number, (4, 4, 4, 4, 4), " ").encode().split()


def _gs1(payload: str) -> int:
    return -sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(payload[::-1])) % 10


def test_an_iban_beside_a_card_does_not_hide_it():
    assert found(f"DE89 3704 0044 0532 0130 00 {IN_FOURS}") == {IN_FOURS}
    assert found(f"DE89370400440532013000 {VISA}") == {VISA}
    assert found(f"{VISA} DE89370400440532013000") == {VISA}
    assert found(f"AB12 {IN_FOURS}") == {IN_FOURS}, "letters alone make no IBAN"


def test_a_uuid_or_hash_beside_a_card_does_not_hide_it():
    assert found(f"41111111-1111-4111-8111-111111111111 {VISA}") == {VISA}
    assert found(f"{VISA}-41111111-1111-4111-8111-111111111111") == {VISA}
    assert found(f"da39a3ee5e6b4b0d3255bfef95601890afd80709 {VISA}") == {VISA}


@given(st.text(alphabet="0123456789 -./+_aefD\n,ZG", max_size=200))
def test_what_is_found_is_always_a_card_number(text):
    for each in found(text):
        digits = "".join(char for char in each if char.isdigit())
        if "e" in each:  # with an exponent
            continue
        assert issued(digits)
        assert sum(sum(divmod(int(d) * (1 + i % 2), 10)) for i, d in enumerate(digits[::-1])) % 10 == 0


def test_the_work_is_limited(monkeypatch):
    monkeypatch.setattr(numbers, "MAX_CANDIDATES", 100 * 20)
    assert len(list(card_numbers(b"4111111111111111\n" * 100))) == 100
    with pytest.raises(TooManyNumbers):
        list(card_numbers(b"4111111111111111\n" * 101))


@pytest.mark.parametrize(
    "text", ["4111 ", "4 ", "4111111111111111 ", "41-", "1234567890123,", "1.1 ", "0 0\n", "AB12 "]
)
def test_the_work_is_linear(monkeypatch, text):
    """Twice the text takes twice the looks, whatever it is made of."""
    looks = 0
    real = numbers._is_card

    def counting(*arguments):
        nonlocal looks
        looks += 1
        return real(*arguments)

    monkeypatch.setattr(numbers, "_is_card", counting)
    counts = []
    for times in (1000, 2000):
        looks = 0
        list(card_numbers(text.encode() * times))
        counts.append(looks)
    assert counts[1] <= 2 * counts[0] + 10
    assert counts[1] <= 2000 * 10
