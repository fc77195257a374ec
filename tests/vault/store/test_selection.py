from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from vault.errors import CvcGone, TokenExpired, TokenOfOtherTenant, TokenOfWrongKind, TokenUnknown
from vault.kinds import CVC, PAN
from vault.policy import Permit, Principal
from vault.requests import Reference
from vault.store.records import SealedRow, Wanted
from vault.store.selection import Selection
from vault.tokens import Token, mint, uuid7

HOUR = timedelta(hours=1)
SOON, PAST = datetime.now(UTC) + HOUR, datetime.now(UTC) - timedelta(seconds=1)


def row(token: Token, *, tenant: str = "default", kind: str = "pan", expires_at: datetime | None = None) -> SealedRow:
    return SealedRow(token.id, tenant, kind, uuid7(), b"sealed", expires_at, None, None)


def lease(
    token: Token, card: Token | None = None, *, tenant: str = "default", attempts: int = 0, ends: datetime = SOON
) -> SealedRow:
    return SealedRow(token.id, tenant, "cvc", uuid7(), b"sealed", ends, card.id if card else None, attempts)


def selection(*references: Reference, tenant: str = "default") -> Selection:
    return Selection(references, Permit(Principal("shop", tenant), "reveal", "gateway", "api.example"), HOUR, 3)


def for_pan(token: Token | None) -> Reference:
    return Reference(PAN, token, "$.number")


def for_cvc(token: Token | None, of: int | None = None) -> Reference:
    return Reference(CVC, token, "$.cvc", of)


def test_tokens_are_wanted_by_token_and_placeholders_by_their_card():
    card, code = mint("tok"), mint("cvc")
    assert selection(for_pan(card), for_cvc(None, 0)).wanted() == Wanted(
        frozenset({card.number}), frozenset({card.number})
    )
    assert selection(for_pan(card), for_cvc(code, 0)).wanted() == Wanted(
        frozenset({card.number, code.number}), frozenset()
    )
    assert selection(for_cvc(None)).wanted() == Wanted(frozenset(), frozenset())


def test_rows_come_in_the_order_of_the_references():
    first, second, code = mint("tok"), mint("tok"), mint("cvc")
    rows = [row(second), lease(code, second), row(first)]
    chosen = selection(for_cvc(None, 1), for_pan(second), for_pan(first), for_pan(second)).choose(rows)
    assert [each.token for each in chosen] == [code.id, second.id, first.id, second.id]


@pytest.mark.parametrize(
    ("reference", "rows", "error"),
    [
        (for_pan, lambda _: [], TokenUnknown),
        (for_pan, lambda _: [row(mint("tok"))], TokenUnknown),
        (for_pan, lambda t: [row(t, tenant="other")], TokenOfOtherTenant),
        (for_pan, lambda t: [row(t, tenant="")], TokenOfOtherTenant),
        (for_pan, lambda t: [row(t, tenant="Default")], TokenOfOtherTenant),
        (for_pan, lambda t: [row(t, expires_at=PAST)], TokenExpired),
        (for_pan, lambda t: [row(t, kind="cvc")], TokenOfWrongKind),
        (for_pan, lambda t: [row(t, kind="iban")], TokenOfWrongKind),
        (for_pan, lambda t: [lease(t)], TokenOfWrongKind),
        (for_cvc, lambda t: [row(t)], TokenOfWrongKind),
        (for_cvc, lambda _: [], TokenOfWrongKind),
    ],
)
def test_a_row_that_may_not_be_used_is_refused(reference, rows, error):
    token = mint("tok")
    with pytest.raises(error):
        selection(reference(token)).choose(rows(token))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({}, None),
        ({"attempts": 2}, None),
        ({"attempts": 3}, TokenExpired),
        ({"attempts": 4}, TokenExpired),
        ({"ends": PAST}, TokenExpired),
        ({"tenant": "other"}, TokenOfOtherTenant),
    ],
)
def test_a_code_by_its_token(change, error):
    code = mint("cvc")
    rows = [lease(code, mint("tok"), **change)]
    if error is None:
        assert selection(for_cvc(code)).choose(rows) == rows
    else:
        with pytest.raises(error):
            selection(for_cvc(code)).choose(rows)


@pytest.mark.parametrize("change", [{"attempts": 3}, {"ends": PAST}, {"tenant": "other"}])
def test_a_code_by_its_card_is_gone_when_its_lease_cannot_be_used(change):
    card = mint("tok")
    chosen = selection(for_pan(card), for_cvc(None, 0))
    with pytest.raises(CvcGone) as caught:
        chosen.choose([row(card), lease(mint("cvc"), card, **change)])
    assert caught.value.ids == {"at": "$.cvc"}


def test_of_several_leases_of_a_card_the_newest_usable_one_is_taken():
    card = mint("tok")
    codes = [Token("cvc", UUID(int=uuid7().int + (number << 80))) for number in range(4)]
    leases = [
        lease(codes[2], card),
        lease(codes[0], card),
        lease(codes[3], card, attempts=3),
        lease(codes[1], card),
        lease(mint("cvc"), None),
        lease(mint("cvc"), mint("tok")),
    ]
    chosen = selection(for_pan(card), for_cvc(None, 0)).choose([row(card), *leases])
    assert chosen[1].token == codes[2].id


def test_a_code_whose_lease_is_gone_was_late_or_used():
    old = Token("cvc", UUID(int=uuid7().int - (3_700_000 << 80)))
    with pytest.raises(TokenExpired):
        selection(for_cvc(old)).choose([])
    with pytest.raises(CvcGone):
        selection(for_cvc(mint("cvc"))).choose([])


def test_a_placeholder_without_a_card_finds_nothing():
    orphan = lease(mint("cvc"), None)
    for references in ([for_cvc(None)], [for_pan(mint("tok")), for_cvc(None, 0)]):
        with pytest.raises((CvcGone, TokenUnknown)):
            selection(*references).choose([orphan])
    with pytest.raises(CvcGone):
        selection(for_cvc(None)).choose([orphan])


def test_one_that_cannot_be_used_refuses_all():
    good, bad = mint("tok"), mint("tok")
    with pytest.raises(TokenUnknown) as caught:
        selection(for_pan(good), for_pan(bad)).choose([row(good)])
    assert caught.value.ids == {"token": str(bad)}
