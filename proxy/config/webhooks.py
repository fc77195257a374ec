"""The models of webhook routes: from a gateway, verified, to an application."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from proxy.config.routes import RouteConfig
from proxy.config.signatures import SignConfig
from proxy.config.values import Name
from proxy.config.verifying import PickText, VerifyConfig


class WebhookConfig(RouteConfig):
    """`mode`: `store` keeps an event before the gateway gets its answer, and delivers it aside; `pass` forwards it.

    `order`: events with the same value there are delivered one after the other. `deliver_for_hours`: how long it is
    tried; `keep_days`: how long an event is kept after that, to be replayed.
    """

    methods: Annotated[frozenset[Literal["POST", "PUT"]], Field(min_length=1)] = frozenset({"POST"})
    guard: Literal["refuse", "tokenize", "report"] = "tokenize"
    tenant: Name = "default"
    verify: VerifyConfig
    mode: Literal["store", "pass"] = "store"
    sign: SignConfig | None = None
    order: PickText | None = None
    deliver_for_hours: Annotated[float, Field(gt=0, le=24 * 30)] = 72
    keep_days: Annotated[int, Field(ge=1, le=3650)] = 30

    @model_validator(mode="after")
    def _check_mode(self) -> WebhookConfig:
        if self.mode == "pass" and (self.sign is not None or self.order is not None):
            raise ValueError('sign and order are for mode = "store": what is passed on goes at once, as it came')
        window = getattr(self.verify, "window_seconds", 0)
        if self.keep_days * 86400 < 2 * window:
            raise ValueError("keep_days: shorter than window_seconds allows an event to come again")
        return self
