from __future__ import annotations

import dataclasses

import pytest

from vault.policy import BY_ROUTE, Denial, Permit, Policy, Principal
from vault.rules import Action

SHOP = Principal("shop", "default")
ACTION = Action("reveal", "gateway", frozenset({"shop", "billing"}))


def test_a_named_application_gets_a_permit_for_one_destination():
    assert Policy().decide(SHOP, ACTION, "api.example") == Permit(
        SHOP, "reveal", "gateway", "api.example", BY_ROUTE, Policy().version
    )


@pytest.mark.parametrize("app", ["", "other", "Shop", "shop ", "sho", "shops", "shop\x00", "*", "ѕhop"])
def test_every_other_application_is_denied(app):
    principal = Principal(app, "default")
    assert Policy().decide(principal, ACTION, "api.example") == Denial(
        principal, "reveal", "gateway", "api.example", "not_permitted", BY_ROUTE, Policy().version
    )


def test_a_route_that_names_nobody_is_for_nobody():
    for app in ("shop", "", "*"):
        decision = Policy().decide(Principal(app, "default"), Action("reveal", "gateway", frozenset()), "api.example")
        assert isinstance(decision, Denial)


def test_a_denial_is_no_permit_and_a_permit_cannot_be_changed():
    assert not issubclass(Denial, Permit)
    permit = Policy().decide(SHOP, ACTION, "api.example")
    with pytest.raises(dataclasses.FrozenInstanceError):
        permit.destination = "evil.example"


def test_a_permit_that_was_used_for_something_impossible_becomes_a_denial_with_the_same_facts():
    permit = Policy().decide(SHOP, ACTION, "api.example")
    assert isinstance(permit, Permit)
    assert permit.refused("token_malformed") == Denial(
        SHOP, "reveal", "gateway", "api.example", "token_malformed", BY_ROUTE, Policy().version
    )
