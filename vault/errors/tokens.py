"""Tokens that cannot be used."""

from __future__ import annotations

from vault.errors.base import PanlessError


class TokenRejected(PanlessError):
    """A token cannot be used. Nothing was revealed."""


class NotAToken(TokenRejected):
    code = "token_malformed"
    message = "The value at {at} is not a Panless token."
    remedy = "Send the token that the application received; raw values are never accepted from an application."


class TokenUnknown(TokenRejected):
    code = "token_unknown"
    message = "No record exists for token {token}."
    remedy = "Check that the token is complete and was made by this Panless; it may have been erased."


class TokenExpired(TokenRejected):
    code = "token_expired"
    message = "Token {token} is past its time or its uses."
    remedy = "Collect the value from the customer again."


class TokenOfOtherTenant(TokenRejected):
    code = "token_other_tenant"
    message = "Token {token} does not belong to this application's tenant."
    remedy = "Use an application key of the tenant that the token was made for."


class TokenOfWrongKind(TokenRejected):
    code = "token_wrong_kind"
    message = "Token {token} does not stand for a {kind}."
    remedy = "Check which token goes into which field."


class CvcGone(TokenRejected):
    code = "cvc_gone"
    message = "No card verification code is held for {at} any more."
    remedy = (
        "A gateway may have answered a request with this code already: find out whether that charge succeeded before "
        "you collect the code again."
    )


class TokenErased(TokenRejected):
    code = "token_erased"
    message = "Token {token} was erased."
    remedy = "It stands for nothing any more: collect the value from the customer again, if it is still needed."


class TokenNotForRoute(TokenRejected):
    code = "token_not_for_route"
    message = "Token {token} may not be used on this route."
    remedy = "Use it on the routes, and towards the gateways, that it was made for."
