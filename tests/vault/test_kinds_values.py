"""What each kind takes and refuses, against an implementation of its own here."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import NotOfItsKind
from vault.exposure import expose
from vault.kinds import CRYPTOGRAM, KINDS, MAX_TEXT, Storage
from vault.sensitive import Sensitive


def taken(kind: str, value: str) -> str:
    return expose(KINDS[kind].normalise(Sensitive(value), "$.x"))


def refused(kind: str, value: str) -> None:
    with pytest.raises(NotOfItsKind) as error:
        taken(kind, value)
    assert error.value.__cause__ is None and error.value.__context__ is None
    assert kind in str(error.value)
    if len(value.strip()) > 3:
        assert value not in str(error.value) + repr(error.value)


def iban_ok(text: str) -> bool:
    """ISO 13616-1, digit by digit: the remainder of the rearranged number by 97 is 1."""
    remainder = 0
    for char in text[4:] + text[:4]:
        for digit in char if char in string.digits else str(string.ascii_uppercase.index(char) + 10):
            remainder = (remainder * 10 + int(digit)) % 97
    return remainder == 1


def checked_iban(country: str, account: str) -> str:
    return next(iban for n in range(2, 99) if iban_ok(iban := f"{country}{n:02}{account}"))


capitals = st.text(string.ascii_uppercase, min_size=2, max_size=2)
accounts = st.text(string.ascii_uppercase + string.digits, min_size=8, max_size=30)


@given(capitals, accounts, st.sampled_from(["", " ", "-", "\u00a0"]))
def test_an_iban_with_its_check_digits_is_taken(country, account, separator):
    iban = checked_iban(country, account)
    written = separator.join(iban[at : at + 4] for at in range(0, len(iban), 4))
    assert taken("iban", written) == taken("iban", written.lower()) == iban


@given(st.text(string.ascii_uppercase + string.digits + " -.", max_size=40))
def test_any_other_text_is_no_iban(text):
    plain = text.replace(" ", "").replace("-", "")
    form = plain[:2].isalpha() and plain[2:4].isdigit() and plain.isalnum() and 12 <= len(plain) <= 34
    if form and iban_ok(plain):
        assert taken("iban", text) == plain
    else:
        refused("iban", text)


@given(capitals, accounts, st.data())
def test_one_wrong_character_makes_an_iban_wrong(country, account, data):
    iban = checked_iban(country, account)
    at = data.draw(st.integers(4, len(iban) - 1))
    other = data.draw(st.sampled_from([c for c in string.digits if c != iban[at]] if iban[at].isdigit() else "7"))
    changed = iban[:at] + other + iban[at + 1 :]
    if not iban_ok(changed):
        refused("iban", changed)


@pytest.mark.parametrize(
    "iban",
    [
        "DE89370400440532013000", "GB82WEST12345698765432", "FR1420041010050500013M02606", "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S", "NL91ABNA0417164300",
    ],
)  # fmt: skip
def test_the_registrys_examples_are_taken(iban):
    assert iban_ok(iban)
    assert taken("iban", iban) == iban


@given(st.text(string.digits, min_size=9, max_size=9))
def test_a_routing_number_has_abas_check_digit(digits):
    total = sum(int(digit) * weight for digit, weight in zip(digits, [3, 7, 1, 3, 7, 1, 3, 7, 1], strict=True))
    if total % 10:
        refused("routing_number", digits)
    else:
        assert taken("routing_number", digits) == digits


@pytest.mark.parametrize("text", ["", "01100001", "0110000155", "O11000015", "\u0661\u0661\u0660000015"])
def test_what_is_no_routing_number(text):
    refused("routing_number", text)


@pytest.mark.parametrize(
    "text", ["5", "05", "2030", "05/30", "05/2030", "2030-05", "05-30", "0530", "052030", "05 / 30", "5.2030", "05 30"]
)
def test_expiry_dates_as_they_are_written_are_taken(text):
    assert taken("expiry", f" {text} ") == text
    wide = text.translate({48 + digit: 0xFF10 + digit for digit in range(10)})
    assert taken("expiry", wide) == text


@pytest.mark.parametrize(
    "text", ["", " ", "May 2030", "05/30/2030", "4242424242424242", "05203", "1234567", "05//30", "05\n30", "-5", "05/"]
)
def test_what_is_no_expiry_date(text):
    refused("expiry", text)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=255))
def test_any_name_on_one_line_is_taken_as_it_is(name):
    if name.strip():
        assert taken("cardholder_name", name) == name


@pytest.mark.parametrize("name", ["", "  ", "a" * 256, "a\nb", "a\rb", "a\0b", "a\u2028b", "a\x85b", "\t"])
def test_what_is_no_name(name):
    refused("cardholder_name", name)


@given(st.text(string.ascii_letters + string.digits, min_size=4, max_size=34))
def test_account_numbers_are_taken_without_their_separators(text):
    assert taken("bank_account", " ".join(text)) == taken("bank_account", text) == text


@pytest.mark.parametrize("text", ["", "123", "1" * 35, "12/34", "1234_5", "\u00e4bcd"])
def test_what_is_no_account_number(text):
    refused("bank_account", text)


def test_of_a_short_account_number_nothing_is_shown():
    for kind in ("iban", "bank_account"):
        assert KINDS[kind].describe(Sensitive("12345678")).last4 is None
        assert KINDS[kind].describe(Sensitive("123456789")).last4 == "6789"


@given(st.text(min_size=1, max_size=300))
def test_any_text_is_taken_as_it_is(text):
    assert taken("text", text) == taken("cryptogram", text) == text


@pytest.mark.parametrize("text", ["", "x" * (MAX_TEXT + 1)])
def test_empty_and_huge_texts_are_refused(text):
    refused("text", text)


def test_a_cryptogram_has_nowhere_to_be_stored():
    assert CRYPTOGRAM.storage is Storage.NONE
    assert [kind.name for kind in KINDS.values() if kind.storage is Storage.NONE] == ["cryptogram"]


def test_only_what_few_share_gets_the_same_token_twice():
    assert {kind.name for kind in KINDS.values() if kind.reusable} == {"pan", "network_token", "iban", "bank_account"}
