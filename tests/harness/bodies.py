"""Plans of a body alone, for the tests of rewriting."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.rewrite.fields import Field, Fields
from proxy.rewrite.media import BodyType, Media
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Plan, find
from vault.sensitive import Sensitive

BOUNDARY = b"XboundaryX"


def find_in(body: bytes, body_type: BodyType, fields: Sequence[Field], charset: str | None = None) -> Plan:
    """Find the fields of a body of that type; multipart ones are parted by BOUNDARY."""
    boundary = BOUNDARY if body_type is BodyType.MULTIPART else b""
    return find(Message(body, Media(body_type, charset, boundary)), Fields(fields))


def fill(plan: Plan, replacements: Sequence[str | Sensitive]) -> bytes:
    return plan.fill(replacements).body
