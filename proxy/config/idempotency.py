"""The models of what is sent once, and of what is sent later."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from proxy.config.base import Model
from proxy.config.signatures import SignConfig
from proxy.config.upstreams import UpstreamConfig
from proxy.config.values import Seconds


class IdempotencyConfig(Model):
    """What happens to requests with an idempotency key. `running`: what a second one gets while the first one runs.

    `wait_seconds`: for how long it waits then; `keep_hours`: for how long answers are kept; `required`: requests that
    change something have to have a key.
    """

    running: Literal["refuse", "wait"] = "refuse"
    wait_seconds: Seconds = 30
    keep_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 24
    required: bool = False


class NotifyConfig(UpstreamConfig):
    """An application that is told by a signed webhook; `deliver_for_hours`: how long that is tried."""

    sign: SignConfig
    deliver_for_hours: Annotated[float, Field(gt=0, le=24 * 30)] = 72
    keep_days: Annotated[int, Field(ge=1, le=3650)] = 30


class AsynchronousConfig(Model):
    """Operations: requests with `Prefer: respond-async` that are sent later.

    `attempts`: how often one is sent that the gateway may have got; `give_up_hours`: until when one is sent at all;
    `notify`: where the application is told that one has ended.
    """

    attempts: Annotated[int, Field(ge=1, le=1000)] = 20
    give_up_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 24
    notify: NotifyConfig | None = None
