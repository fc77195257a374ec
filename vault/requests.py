"""What callers hand to the vault and get back from it: values, no behaviour."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from vault.card_tokens import CardShape
from vault.frozen import frozen
from vault.kinds import Kind
from vault.sensitive import Sensitive
from vault.tokens import Token


@frozen
class Context:
    """What an audit event says of the request beside its tokens. `origin` is the peer's address."""

    request_id: str
    route: str
    destination: str
    origin: str | None = None


@frozen
class TokenLimits:
    """What a token is good for. `max_uses`: how often it may be revealed; `lifetime`: for how long after it was made;
    `routes`, `gateways` (host:port): on and towards these only. None: no such limit.
    """

    max_uses: int | None = None
    lifetime: timedelta | None = None
    routes: tuple[str, ...] | None = None
    gateways: tuple[str, ...] | None = None


UNLIMITED = TokenLimits()


@frozen
class NewValue:
    """A value to tokenize. `at` names its place in errors; `of` is the index of the card that a CVC belongs to.

    With a `shape` its token looks like a card number or, for a CVC, like a code. A token with `limits`, or a `fresh`
    one, is never one that the same value got before. `card`: the token of a card from before that a CVC belongs to.
    """

    kind: Kind
    value: Sensitive
    at: str
    of: int | None = None
    shape: CardShape | None = None
    limits: TokenLimits = UNLIMITED
    fresh: bool = False
    card: UUID | None = None


@frozen
class Reference:
    """A value to reveal: by its token; by `digits`, which may be a card-shaped token and may be anything; or, with
    neither, the CVC that is leased for the card at index `of`.
    """

    kind: Kind
    token: Token | None
    at: str
    of: int | None = None
    digits: Sensitive | None = None


@frozen
class Revealed:
    """A plaintext on its way to one destination. `lease` is what to end once the destination has answered.

    `spent`: the token of limited use that it has used.
    """

    value: Sensitive
    token: Token
    lease: UUID | None
    spent: UUID | None = None
