"""What is known is not sealed again, and what has to be tried again is sealed once."""

from __future__ import annotations

import pytest

from tests.harness.cards import cards
from vault import sealing
from vault.kinds import CVC, PAN
from vault.requests import NewValue
from vault.sensitive import Sensitive


@pytest.fixture
def sealed(monkeypatch) -> list[str]:
    """The kinds of what was sealed."""
    found: list[str] = []
    plain = sealing.seal

    def seal(key, value, binding):
        found.append(binding.kind)
        return plain(key, value, binding)

    monkeypatch.setattr(sealing, "seal", seal)
    return found


def pan() -> NewValue:
    return NewValue(PAN, Sensitive(cards()[0]), "$")


async def test_a_known_card_is_not_sealed_again_but_its_code_is(vault, context, sealed):
    await vault.tokenize([pan(), pan()], "default", context)
    assert sealed == ["pan"]
    await vault.tokenize([pan(), NewValue(CVC, Sensitive("123"), "$", of=0)], "default", context)
    assert sealed == ["pan", "cvc"]


async def test_a_record_that_is_tried_again_is_sealed_once(vault, open_vault, owner, context, sealed):
    """Uses of a key are counted when they are reserved: one for each record."""
    other = await open_vault()
    await vault.tokenize([pan()], "default", context)
    await owner.execute("DELETE FROM tokens; DELETE FROM fingerprints")
    await other.tokenize([pan()], "default", context)
    await owner.execute("DELETE FROM tokens; DELETE FROM fingerprints")
    sealed.clear()
    await vault.tokenize([pan()], "default", context)  # it is remembered, conflicts, and is new then
    assert sealed == ["pan"]
