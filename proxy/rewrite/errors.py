"""Why a body was refused, or a selector.

Ids are selectors from the configuration, byte offsets into the body, and limits: never a value, a key or a
piece of the body. An offset counts bytes from the start of the body, from 0.
"""

from __future__ import annotations

from vault.errors import PanlessError


class BodyRejected(PanlessError):
    """The body cannot be rewritten safely. Nothing was replaced and nothing may be forwarded."""


class BodyUnreadable(BodyRejected):
    """Takes `offset`."""

    code = "body_unreadable"
    message = "The body is not valid for its content type at byte {offset}."
    remedy = "Send a well-formed body in UTF-8 whose content type says what it is."


class DtdRefused(BodyRejected):
    """Takes `offset`."""

    code = "xml_dtd_refused"
    message = "The XML body has a document type declaration at byte {offset}."
    remedy = "Send it without DOCTYPE: entities and defaults that it could declare are not read."


class BodyTooComplex(BodyRejected):
    """Takes `limit`, in levels."""

    code = "body_too_complex"
    message = "The body is nested more than {limit} levels deep."
    remedy = "Send a body with fewer levels."


class TooManyFields(BodyRejected):
    """Takes `limit`."""

    code = "too_many_fields"
    message = "The body has more than {limit} fields that must be looked at."
    remedy = "Send fewer fields. Operators: selectors with '..' or '*' make more fields count than names do."


class TooManyNumbers(BodyRejected):
    """Takes `limit`."""

    code = "too_many_numbers"
    message = "The body has more than {limit} long numbers that must be looked at."
    remedy = "Send fewer at a time."


class TooManyValues(BodyRejected):
    """Takes `limit`."""

    code = "too_many_values"
    message = "The body has more than {limit} protected values."
    remedy = "Send them in several requests."


class BodyAmbiguous(BodyRejected):
    """Takes `offset`."""

    code = "body_ambiguous"
    message = "Receivers could read the body in different ways at byte {offset}."
    remedy = "Write form keys as name[key][0], and send each card and its verification code in one object."


class DuplicateKey(BodyRejected):
    """Takes `offset`, of the second one."""

    code = "duplicate_key"
    message = "A key on the way to a protected value is repeated at byte {offset}."
    remedy = "Send each key once."


class ValueNotText(BodyRejected):
    """Takes `selector` and `offset`."""

    code = "value_not_text"
    message = "What {selector} selects, at byte {offset}, is not text."
    remedy = "Send a string there, or correct the route's selector."


class NumberNotWhole(ValueNotText):
    """Takes `selector` and `offset`."""

    code = "value_not_string"
    message = "What {selector} selects, at byte {offset}, is a number, but not a whole one of up to 19 digits."
    remedy = "Send it as a string, in quotes: numbers lose leading zeros and digits on their way."


class CustomerInvalid(BodyRejected):
    """Takes `selector`."""

    code = "customer_invalid"
    message = "What {selector} selects cannot name a customer."
    remedy = "Send one name there: 1 to 255 ASCII characters without spaces, and no card number."


class IdempotencyInvalid(BodyRejected):
    """Takes `selector`."""

    code = "idempotency_key_invalid"
    message = "What {selector} selects is not one idempotency key."
    remedy = "Send one key: 1 to 255 ASCII characters without spaces, a UUID say, and no card number or Panless key."


class SequenceInvalid(BodyRejected):
    """Takes `selector`."""

    code = "sequence_invalid"
    message = "What {selector} selects cannot say whose turn it is."
    remedy = "Send one name there: 1 to 255 ASCII characters without spaces, and no card number."


class QueryRejected(BodyRejected):
    """Takes `offset` into the query string."""

    code = "query_rejected"
    message = "The query string cannot be read, or in different ways, at its byte {offset}."
    remedy = "Send each name once, percent-encoded as UTF-8."


class HeaderRepeated(BodyRejected):
    """Takes `name`, as the configuration writes it."""

    code = "header_repeated"
    message = "{name} selects a header that stands more than once in the request."
    remedy = "Send it once."


class SelectorInvalid(PanlessError, ValueError):
    """Takes `selector` and `reason`. A ValueError too, so that validation of the configuration collects it."""

    code = "selector_invalid"
    message = "The selector {selector} cannot be used: {reason}."
    remedy = (
        "Outside the body use query:NAME or header:NAME; else RFC 9535 JSONPath, beginning with $, with at least one "
        "segment, made of names ($.card.number, $['card number']), indexes from 0 ($.cards[0]), wildcards "
        "($.cards[*]), descendants ($..number) and lists of these ($['cvc','cvv'])."
    )

    def __str__(self) -> str:
        return f"{super().__str__()} {self.remedy}"


class SelectorsConflict(PanlessError):
    """Takes `first` and `second`, two selectors of one route."""

    code = "selectors_conflict"
    message = "The selectors {first} and {second} of one route select the same value as different kinds."
    remedy = "Operators: make the route's selectors exclude each other, or give them the same kind."
