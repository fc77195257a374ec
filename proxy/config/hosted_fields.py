"""The model of [fields]: hosted fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from proxy.config.base import Model
from vault.velocity import DAY, HOUR, MINUTE

Amount = Annotated[int, Field(ge=1)]


class AddressLimit(Model):
    """How often one address may hand a card in."""

    minute: Amount = 20
    hour: Amount = 100
    day: Amount = 400

    @model_validator(mode="after")
    def _rise(self) -> AddressLimit:
        if not self.minute <= self.hour <= self.day:
            raise ValueError("address_limit: minute, hour and day have to rise; give all three")
        return self

    @property
    def windows(self) -> dict[int, int]:
        return {MINUTE: self.minute, HOUR: self.hour, DAY: self.day}


class HostedFieldsConfig(Model):
    """`session_minutes`: for how long a page can take a card after it was opened. `reuse_tokens`: a card that is known
    gets the token that it has, and whoever types it in can read from that token since when.
    """

    session_minutes: Annotated[int, Field(ge=1, le=1440)] = 30
    address_limit: AddressLimit = AddressLimit()
    reuse_tokens: bool = False
