"""What a route protects: from the fields of its configuration to those that are looked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from proxy.config import FieldConfig, InboundConfig, OutboundConfig, RouteConfig
from proxy.rewrite.fields import CREDENTIAL, CUSTOMER, IDEMPOTENCY, KEPT, SEQUENCE, Field
from proxy.rewrite.selectors import Selector
from vault.card_tokens import CardShape
from vault.kinds import KINDS, Storage


@dataclass(frozen=True, slots=True)
class Credential:
    """Where the gateway's credential stands: in `slots` of the headers, or (`inside`) in fields of the route."""

    slots: tuple[str, ...]
    inside: tuple[Field, ...]
    secret: str | None = field(repr=False)
    always: bool

    @classmethod
    def compile(cls, config: OutboundConfig, secret: str | None) -> Credential:
        slots = config.credential.slots if config.credential else ()
        return cls(
            slots=tuple(slot for slot in slots if not _is_selector(slot)),
            inside=tuple(Field(Selector.parse(slot), CREDENTIAL) for slot in slots if _is_selector(slot)),
            secret=secret,
            always=config.credential is not None and config.credential.always,
        )


def _is_selector(slot: str) -> bool:
    return slot.startswith(("$", "query:"))


def protected(config: RouteConfig) -> Iterator[Field]:
    """Yield the fields of a route."""
    yield from map(_field, config.fields)
    if isinstance(config, InboundConfig) and config.customer is not None:
        yield Field(Selector.parse(config.customer), CUSTOMER)
    if isinstance(config, OutboundConfig):
        for at, kind in ((config.idempotency_field, IDEMPOTENCY), (config.sequence, SEQUENCE)):
            if at is not None:
                yield Field(Selector.parse(at), kind)


def exceptions(config: RouteConfig) -> Iterator[Field]:
    """Yield what the leak guard leaves alone."""
    return (Field(Selector.parse(at), KEPT) for at in config.guard_except)


def _field(config: FieldConfig) -> Field:
    kind = KEPT if KINDS[config.kind].storage is Storage.NONE else config.kind
    of = Selector.parse(config.of) if config.of else None
    shape = None
    if config.token == "card":  # noqa: S105  # a format, not a secret
        look = config.shape
        shape = CardShape(look.max_length, look.keep_bin, look.keep_last4, look.luhn)
    return Field(Selector.parse(config.at), kind, of, shape, config.number, config.limits.limits())
