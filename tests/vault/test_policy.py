from __future__ import annotations

import dataclasses

import pytest

from vault.policy import Action, Denial, Permit, Principal, decide

SHOP = Principal("shop", "default")
ACTION = Action("reveal", "gateway", frozenset({"shop", "billing"}))


def test_a_named_application_gets_a_permit_for_one_destination():
    assert decide(SHOP, ACTION, "api.example") == Permit(SHOP, "reveal", "gateway", "api.example")


@pytest.mark.parametrize("app", ["", "other", "Shop", "shop ", "sho", "shops", "shop\x00", "*", "ѕhop"])
def test_every_other_application_is_denied(app):
    principal = Principal(app, "default")
    assert decide(principal, ACTION, "api.example") == Denial(
        principal, "reveal", "gateway", "api.example", "not_permitted"
    )


def test_a_route_that_names_nobody_is_for_nobody():
    for app in ("shop", "", "*"):
        decision = decide(Principal(app, "default"), Action("reveal", "gateway", frozenset()), "api.example")
        assert isinstance(decision, Denial)


def test_a_denial_is_no_permit_and_a_permit_cannot_be_changed():
    assert not issubclass(Denial, Permit)
    permit = decide(SHOP, ACTION, "api.example")
    with pytest.raises(dataclasses.FrozenInstanceError):
        permit.destination = "evil.example"


def test_a_permit_that_was_used_for_something_impossible_becomes_a_denial_with_the_same_facts():
    permit = decide(SHOP, ACTION, "api.example")
    assert isinstance(permit, Permit)
    assert permit.refused("token_malformed") == Denial(SHOP, "reveal", "gateway", "api.example", "token_malformed")
