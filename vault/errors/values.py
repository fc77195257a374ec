"""Values that cannot be taken into the vault."""

from __future__ import annotations

from vault.errors.base import PanlessError


class ValueRejected(PanlessError):
    """A value cannot be taken into the vault. The caller has to correct it."""


class NotACardNumber(ValueRejected):
    code = "pan_invalid"
    message = "The value at {at} is not a card number."
    remedy = "Send 12 to 19 digits that pass the Luhn check, as a string; spaces and dashes are fine."


class NotACvc(ValueRejected):
    code = "cvc_invalid"
    message = "The value at {at} is not a card verification code."
    remedy = "Send 3 or 4 digits as a string."


class NotOfItsKind(ValueRejected):
    code = "value_invalid"
    message = "The value at {at} is not a valid {kind}."
    remedy = "Send {expected}, or leave the field out."


class CardTokenGiven(ValueRejected):
    code = "pan_is_token"
    message = "The value at {at} is a token that this vault has issued, not a card number."
    remedy = "Send the card number; where the card is known already, use its token on an outbound route."


class CardTokensExhausted(ValueRejected):
    code = "card_tokens_exhausted"
    message = "No card-shaped token is free for {at}."
    remedy = "Operators: let the tokens of this field keep fewer of the card's digits, or make them longer."
