from __future__ import annotations

import traceback

import pytest

from tests.harness.cards import all_cards, cards
from vault.errors import NotACardNumber, NotACvc
from vault.exposure import expose
from vault.kinds import CVC, KINDS, PAN, Storage, luhn_valid
from vault.sensitive import Sensitive

VISA = "4242424242424242"


def normalised(text: str, kind=PAN) -> str:
    return expose(kind.normalise(Sensitive(text), "$.card.number"))


def refused(text: str, kind=PAN) -> None:
    with pytest.raises((NotACardNumber, NotACvc)) as caught:
        kind.normalise(Sensitive(text), "$.at")
    assert caught.value.ids == {"at": "$.at"}
    if len(text) > 4:  # shorter ones stand in any traceback
        assert text not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


def luhn_digit(digits: str) -> str:
    """The check digit, by the book: double every second digit from the right, add the digits of all."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    return str(-total % 10)


@pytest.mark.parametrize("pan", cards())
def test_every_test_card_is_taken_as_it_is(pan):
    assert normalised(pan) == pan


@pytest.mark.parametrize("card", [card for card in all_cards() if card.pan not in cards()], ids=lambda card: card.pan)
def test_what_is_no_card_number_is_refused(card):
    refused(card.pan)


def test_the_file_of_cards_has_both_sorts():
    assert len(cards()) > 60
    assert len(all_cards()) - len(cards()) >= 4


@pytest.mark.parametrize("separator", [" ", "-", "\u00a0", "\u2009", "\u2007", "\u202f", "  ", " - "], ids=ascii)
def test_what_people_put_between_digits_is_taken_out(separator):
    assert normalised(separator.join(["4242"] * 4)) == VISA
    assert normalised(separator.join(VISA)) == VISA
    assert normalised(separator + VISA + separator) == VISA


def test_full_width_digits_are_digits():
    wide = "".join(chr(0xFF10 + int(digit)) for digit in "4000056655665556")
    assert normalised(wide) == "4000056655665556"
    assert normalised(wide[:8] + "55665556") == "4000056655665556"


@pytest.mark.parametrize(
    "zero",
    [0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50, 0x1D7CE, 0x1D7D8, 0x1D7F6, 0x1FBF0],
    ids=["arabic", "persian", "devanagari", "bengali", "thai", "bold", "double-struck", "monospace", "segmented"],
)
def test_digits_of_other_scripts_are_refused(zero):
    text = "".join(chr(zero + int(digit)) for digit in VISA)
    assert text.isdigit() or zero == 0x1FBF0  # what `isdigit` and `int` would take for a card number
    refused(text)
    refused(VISA[:-1] + text[-1])


@pytest.mark.parametrize("digit", ["²", "①", "⁴", "₄", "Ⅳ", "四"])
def test_what_only_looks_like_a_digit_is_refused(digit):
    refused(VISA[:-1] + digit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-",
        "4242 4242 4242 4242 x",
        "4242.4242.4242.4242",
        "4242_4242_4242_4242",
        "4242/4242/4242/4242",
        "4242\t4242\t4242\t4242",
        f"{VISA}\n",
        f"\ufeff{VISA}",
        f"{VISA}\u200b",
        f"\u200e{VISA}",
        f"{VISA}\x00",
        f"+{VISA}",
        f"{VISA}.0",
        "4.242424242424242e15",
        "0x" + VISA,
        "4242–4242–4242–4242",
        "4242\u30004242\u30004242\u30004242",
        f"{VISA} {VISA}",
        "tok_01h2xcejqtf2nbrexx3vqjhp41",
        "\ud800" + VISA,
    ],
    ids=ascii,
)
def test_anything_else_is_refused(text):
    refused(text)


@pytest.mark.parametrize("length", range(1, 26))
def test_a_card_number_has_12_to_19_digits(length):
    digits = "4000000000000000000000000"[: length - 1]
    number = digits + luhn_digit(digits)
    if 12 <= length <= 19:
        assert normalised(number) == number
    else:
        refused(number)


@pytest.mark.parametrize("pan", cards())
def test_every_single_wrong_digit_is_noticed(pan):
    for place, digit in enumerate(pan):
        for other in "0123456789".replace(digit, ""):
            assert not luhn_valid(pan[:place] + other + pan[place + 1 :])


@pytest.mark.parametrize("length", range(12, 20))
def test_luhn_is_that_of_the_standard(length):
    for seed in range(50):
        digits = str(7**40 * (seed + 1))[: length - 1]
        for last in "0123456789":
            assert luhn_valid(digits + last) == (last == luhn_digit(digits))


@pytest.mark.parametrize("digit", "0123456789")
def test_one_repeated_digit_is_no_card_number(digit):
    for length in range(12, 20):
        refused(digit * length)


# The brand of each card is what its file says, where we tell that brand apart.
BRANDS = {
    "4242424242424242": "visa",
    "4222222222222": "visa",
    "4000000000000000006": "visa",
    "5555555555554444": "mastercard",
    "5105105105105100": "mastercard",
    "2223003122003222": "mastercard",
    "2222400070000005": "mastercard",
    "2221000000000009": "mastercard",
    "2720990000000007": "mastercard",
    "378282246310005": "amex",
    "371449635398431": "amex",
    "340000000000009": "amex",
    "6011111111111117": "discover",
    "6555900000604105": "discover",
    "3056930009020004": "diners",
    "36227206271667": "diners",
    "38000000000006": "diners",
    "3566002020360505": "jcb",
    "6200000000000005": "unionpay",
    "6205500000000000004": "unionpay",
    "6759649826438453": "maestro",
    "6304000000000000": "maestro",
    "5019555544445555": "maestro",
    "9000000000000001": None,
    "2220000000000000": None,
    "2721000000000000": None,
    "1000000000000008": None,
}


@pytest.mark.parametrize(("pan", "brand"), BRANDS.items())
def test_the_brand_is_told_by_the_first_digits(pan, brand):
    about = PAN.describe(Sensitive(pan))
    assert (about.brand, about.last4) == (brand, pan[-4:])


@pytest.mark.parametrize(("text", "code"), [("123", "123"), ("0000", "0000"), ("7 3 1", "731"), ("７３１９", "7319")])
def test_a_verification_code_is_three_or_four_digits(text, code):
    assert normalised(text, CVC) == code


@pytest.mark.parametrize("text", ["", "1", "12", "12345", "12a", "١٢٣", "1²3", "123\n", "+123", "1.23", VISA, "cvc_1"])
def test_anything_else_is_no_verification_code(text):
    refused(text, CVC)


def test_nothing_is_said_of_a_verification_code_and_it_is_never_kept():
    about = CVC.describe(Sensitive("7319"))
    assert (about.brand, about.last4) == (None, None)
    assert CVC.storage is Storage.LEASE
    assert PAN.storage is Storage.VAULT


def test_the_kinds_are_known_by_name_and_cannot_be_changed():
    assert {"pan": PAN, "cvc": CVC}.items() <= KINDS.items()
    with pytest.raises(TypeError):
        KINDS["pan"] = CVC  # type: ignore[index]
