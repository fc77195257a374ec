"""The models of fields: what is protected, and what an application gets instead."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from proxy.config.base import Model
from proxy.config.values import KindName, Name, SelectorText
from vault.kinds import KINDS, PAN, Storage
from vault.requests import TokenLimits


class ShapeConfig(Model):
    """How a card-shaped token looks: of the card's digits it keeps the first six and the last four, or not.

    `luhn`: whether its check digit is right. A wrong one keeps a token from being taken for a card number.
    """

    max_length: Annotated[int, Field(ge=13, le=19)] = 19
    keep_bin: bool = False
    keep_last4: bool = True
    luhn: bool = False


class TokenLimitsConfig(Model):
    """What the tokens of a field are good for: so many uses, so many seconds, these routes, these gateways.

    A gateway is named as in a route's upstream: host, or host:port. What is left out is not limited.
    """

    uses: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[int, Field(ge=1)] | None = None
    routes: Annotated[frozenset[Name], Field(min_length=1)] | None = None
    gateways: Annotated[frozenset[str], Field(min_length=1)] | None = None

    def limits(self) -> TokenLimits:
        lifetime = None if self.seconds is None else timedelta(seconds=self.seconds)
        routes, gateways = (None if each is None else tuple(sorted(each)) for each in (self.routes, self.gateways))
        return TokenLimits(self.uses, lifetime, routes, gateways)


class FieldConfig(Model):
    """`at` selects, `kind` says what stands there, `of` names the card that a CVC belongs to.

    A message without a `required` field is refused. `number`: in JSON, what takes the place is written as a number
    where it can be one.
    """

    at: SelectorText
    kind: KindName
    of: SelectorText | None = None
    required: bool = False
    number: bool = False
    token: Literal["opaque", "card"] = "opaque"  # noqa: S105  # a format, not a secret
    shape: ShapeConfig = ShapeConfig()
    limits: TokenLimitsConfig = TokenLimitsConfig()

    @model_validator(mode="after")
    def _check_token(self) -> FieldConfig:
        kind = KINDS[self.kind]
        if self.token == "card" and not (kind.card or (kind.storage is Storage.LEASE and self.of is not None)):  # noqa: S105
            raise ValueError("token: card-shaped ones are for card numbers, and for a cvc with `of`")
        if self.shape.luhn and kind is not PAN:
            raise ValueError("shape: luhn is for a pan")
        if self.token != "card" and self.shape != ShapeConfig():  # noqa: S105
            raise ValueError('shape: it needs token = "card"')
        if kind.storage is not Storage.VAULT and self.limits != TokenLimitsConfig():
            raise ValueError(
                f"limits: a {kind.name} is not kept; its limits are cvc_seconds and cvc_attempts in [vault]"
            )
        return self
