from pathlib import Path

import pytest

from proxy.rewrite.errors import BodyAmbiguous, SelectorsConflict
from proxy.rewrite.fields import Field
from proxy.rewrite.media import BodyType
from proxy.rewrite.selectors import Selector
from tests.harness.bodies import fill, find_in
from vault.exposure import expose
from vault.sensitive import Sensitive

CAPTURES = Path(__file__).parents[2] / "captures"
TYPES = {body_type.value: body_type for body_type in BodyType}


def protect(at: str, kind: str, of: str | None = None) -> Field:
    return Field(Selector.parse(at), kind, None if of is None else Selector.parse(of))


CARDS = [protect("$.cards[*].number", "pan"), protect("$.cards[*].cvc", "cvc", of="$.cards[*].number")]
SDK_FIELDS = [
    *(
        protect(f"{parent}.{name}", kind)
        for parent, name, kind in [
            ("$.paymentMethod", "number", "pan"),
            ("$.paymentMethod", "encryptedCardNumber", "pan"),
            ("$.paymentMethod", "iban", "iban"),
            ("$.paymentMethod", "bankAccountNumber", "account"),
            ("$.paymentMethod", "applePayToken", "opaque"),
            ("$.variables.input.creditCard", "number", "pan"),
            ("$.source", "number", "pan"),
            ("$", "source_id", "opaque"),
            ("$", "number", "pan"),
            ("$.card", "number", "pan"),
            ("$.payment_method_data.card", "number", "pan"),
            ("$.payment_method_options.card.network_token", "cryptogram", "opaque"),
            ("$.sepa_debit", "iban", "iban"),
            ("$.us_bank_account", "account_number", "account"),
            ("$.ideal", "bank", "opaque"),
            ("$.billing_details", "name", "opaque"),
            ("$.data.object", "email", "opaque"),
            ("$.transaction.credit_card", "number", "pan"),
            ("$.payment_method", "payment_method_nonce", "opaque"),
        ]
    ),
    protect("$.paymentMethod.cvc", "cvc", of="$.paymentMethod.number"),
    protect("$.variables.input.creditCard.cvv", "cvc", of="$.variables.input.creditCard.number"),
    protect("$.source.cvv", "cvc", of="$.source.number"),
    protect("$.card.cvc", "cvc", of="$.card.number"),
    protect("$.transaction.credit_card.cvv", "cvc", of="$.transaction.credit_card.number"),
    protect("$.payment_method_data.card.cvc", "cvc", of="$.payment_method_data.card.number"),
]


def captured() -> list[tuple[str, BodyType, bytes]]:
    found = []
    for path in sorted(CAPTURES.glob("*.http")):
        head, _, body = path.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
        for line in head.decode().lower().splitlines():
            name, _, value = line.partition(":")
            media_type = value.partition(";")[0].strip()
            if name == "content-type" and media_type in TYPES:
                found.append((path.stem, TYPES[media_type], body))
    return found


def test_the_captures_are_there():
    assert len(captured()) == 25


@pytest.mark.parametrize(("name", "body_type", "body"), captured(), ids=[name for name, _, _ in captured()])
def test_captures_go_there_and_back(name, body_type, body):
    plan = find_in(body, body_type, SDK_FIELDS)
    if name != "adyen-ideal":
        assert plan.matches
    tokens = [f"tok_{number}" for number in range(len(plan.matches))]
    tokenized = fill(plan, tokens)
    again = find_in(tokenized, body_type, SDK_FIELDS)
    assert [expose(match.value) for match in again.matches] == tokens
    assert [match.path for match in again.matches] == [match.path for match in plan.matches]
    assert fill(again, [match.value for match in plan.matches]) == body
    for match in plan.matches:
        assert match.of is None or plan.matches[match.of].path[:-1] == match.path[:-1] or body_type is BodyType.XML
        assert (match.of is None) == (match.field.kind != "cvc")


def test_matches_are_in_body_order_and_fill_takes_text_or_sensitive():
    body = b'{"cards":[{"cvc":"1","number":"A"},{"number":"B","cvc":"2"}]}'
    plan = find_in(body, BodyType.JSON, CARDS)
    assert [expose(match.value) for match in plan.matches] == ["1", "A", "B", "2"]
    assert [match.of for match in plan.matches] == [1, None, None, 2]
    filled = fill(plan, ["w", Sensitive("x"), "y", Sensitive("z")])
    assert filled == b'{"cards":[{"cvc":"w","number":"x"},{"number":"y","cvc":"z"}]}'


def test_the_remainder_is_what_stays():
    body = b'{"cards":[{"cvc":"1","number":"A"}]}'
    pieces = [bytes(piece.data) for piece in find_in(body, BodyType.JSON, CARDS).remainder()]
    assert pieces == [b'{"cards":[{"cvc":', b',"number":', b"}]}"]
    assert [bytes(piece.data) for piece in find_in(b"a=1", BodyType.FORM, CARDS).remainder()] == [b"a=1"]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fill_wants_one_replacement_a_match(count):
    plan = find_in(b'{"cards":[{"cvc":"1","number":"A"}]}', BodyType.JSON, CARDS)
    with pytest.raises(ValueError, match="replacements for"):
        fill(plan, ["x"] * count)


@pytest.mark.parametrize(
    ("body", "owners"),
    [
        ('{"cvc":"1"}', [None]),
        ('{"number":"A","cvc":"1"}', [None, 0]),
        ('{"cvc":"1","x":{"y":[{"number":"A"}]}}', [1, None]),
        ('{"a":{"number":"A","b":{"cvc":"1"}},"number":"B"}', [None, 0, None]),
        ('{"number":"A","x":[{"cvc":"1"},{"cvc":"2"},{"number":"B","cvc":"3"}]}', [None, 3, 3, None, 3]),
        ('{"a":{"number":"A"},"b":{"number":"B"},"number":"C","c":{"number":null}}', [None] * 3),
    ],
)
def test_a_code_belongs_to_the_nearest_card(body, owners):
    fields = [protect("$..number", "pan"), protect("$..cvc", "cvc", of="$..number")]
    assert [match.of for match in find_in(body.encode(), BodyType.JSON, fields).matches] == owners


@pytest.mark.parametrize(
    "body",
    [
        '{"cvc":"1","a":{"number":"A"},"b":{"number":"B"}}',
        '[{"number":"A"},{"number":"B"},{"cvc":"1"}]',
        '[{"number":"A"},{"number":"B"},{"cvc":"1","number":null},{"cvc":"2"}]',
    ],
)
def test_a_code_between_two_cards_is_refused(body):
    fields = [protect("$..number", "pan"), protect("$..cvc", "cvc", of="$..number")]
    with pytest.raises(BodyAmbiguous) as caught:
        find_in(body.encode(), BodyType.JSON, fields)
    assert caught.value.ids == {"offset": body.index('"1"')}


def test_codes_of_appended_form_elements():
    body = b"cards[][number]=A&cards[][cvc]=1&cards[][number]=B&cards[][cvc]=2"
    assert [match.of for match in find_in(body, BodyType.FORM, CARDS).matches] == [None, 0, None, 2]
    with pytest.raises(BodyAmbiguous):
        find_in(
            b"cards[][cvc]=1&cards[][cvc]=2&cards[][cvc]=3&cards[][number]=A&cards[][number]=B", BodyType.FORM, CARDS
        )


def test_fields_of_different_kinds_may_not_share_a_value():
    fields = [protect("$.card.number", "pan"), protect("$..number", "iban")]
    with pytest.raises(SelectorsConflict, match=r"\$\.card\.number and \$\.\.number"):
        find_in(b"card[number]=1", BodyType.FORM, fields)
    assert len(find_in(b"card[x][number]=1", BodyType.FORM, fields).matches) == 1


def test_the_first_of_two_fields_of_one_kind_wins():
    fields = [protect("$.card.number", "pan"), protect("$..number", "pan"), protect("$..cvc", "cvc", of="$..number")]
    plan = find_in(b'{"card":{"number":"A","cvc":"1"}}', BodyType.JSON, fields)
    assert [match.field for match in plan.matches] == [fields[0], fields[2]]
    assert plan.matches[1].of == 0


def test_pairing_over_many_levels():
    fields = [protect("$..number", "pan"), protect("$..cvc", "cvc", of="$..number")]
    codes = ",".join(['{"cvc":"1"}'] * 99)
    deep = '{"a":' * 100 + '{"number":"A","x":[' + codes + "]}" + "}" * 100
    plan = find_in(deep.encode(), BodyType.JSON, fields)
    assert [match.of for match in plan.matches[1:]] == [0] * 99


def test_no_fields_still_check_the_body():
    assert fill(find_in(b"[1]", BodyType.JSON, []), []) == b"[1]"


def test_nothing_from_the_body_is_shown():
    plan = find_in(b'{"4111111111111111":{"number":"4242424242424242"}}', BodyType.JSON, [protect("$.*.number", "pan")])
    assert "4111" not in repr(plan)
    assert "4242" not in repr(plan)
