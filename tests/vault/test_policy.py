from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from ipaddress import ip_network

import pytest

from vault.policy import BY_ROUTE, NO_RULE, Denial, Permit, Policy, Principal
from vault.rules import Action, Hours, Rule

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
        for name, apps in (("reveal", frozenset()), ("reveal", None), ("tokenize", frozenset())):
            decision = Policy().decide(Principal(app, "default"), Action(name, "gateway", apps), "api.example")
            assert isinstance(decision, Denial)
            if apps is not None:
                asked = {"name": name, "app": app, "apps": apps}
                assert isinstance(decided([rule(actions=("reveal", "tokenize"))], **asked), Denial)


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


NIGHT = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)  # a Monday
OFFICE = Hours(time(8), time(18), frozenset({"mon", "tue", "wed", "thu", "fri"}), "Europe/Berlin")


def rule(name: str = "allowed", *, allows: bool = True, actions=("reveal",), **conditions) -> Rule:
    return Rule(name, allows, frozenset(actions), **conditions)


def decided(rules: Sequence[Rule], **about) -> Permit | Denial:
    asked = {
        "name": "reveal",
        "route": "gateway",
        "apps": None,
        "kinds": frozenset({"pan"}),
        "at": NIGHT,
    } | about
    principal = Principal(asked.pop("app", "shop"), "default")
    return Policy(rules).decide(principal, Action(**asked), "api.example")


def test_where_there_are_rules_what_none_of_them_allows_is_denied():
    others = [rule(apps=frozenset({"other"})), rule(routes=frozenset({"other"})), rule(actions=("tokenize",))]
    denial = decided(others)
    assert isinstance(denial, Denial)
    assert denial.rule == NO_RULE
    assert isinstance(decided([*others, rule("mine", apps=frozenset({"shop"}))]), Permit)


def test_the_first_rule_that_matches_decides():
    deny, allow = rule("no", allows=False), rule("yes")
    assert decided([deny, allow]).rule == "no"
    assert isinstance(decided([deny, allow]), Denial)
    assert decided([allow, deny]).rule == "yes"
    assert isinstance(decided([allow, deny]), Permit)


def test_a_route_that_names_applications_is_for_them_alone_whatever_the_rules_say():
    assert isinstance(decided([rule()], apps=frozenset({"other"})), Denial)
    assert isinstance(decided([rule()], apps=frozenset({"shop"})), Permit)
    assert isinstance(decided([rule(allows=False)], apps=frozenset({"shop"})), Denial)


def test_every_kind_has_to_be_allowed():
    pans = rule("pans", kinds=frozenset({"pan"}))
    assert isinstance(decided([pans]), Permit)
    assert isinstance(decided([pans], kinds=frozenset({"pan", "iban"})), Denial)
    assert isinstance(
        decided([pans, rule("ibans", kinds=frozenset({"iban"}))], kinds=frozenset({"pan", "iban"})), Permit
    )
    never = rule("never", allows=False, kinds=frozenset({"iban"}))
    assert isinstance(decided([never, rule()], kinds=frozenset({"pan", "iban"})), Denial)


def test_before_kinds_are_known_whoever_may_reveal_some_goes_on():
    never = rule("never", allows=False, kinds=frozenset({"iban"}))
    for kinds in (None, frozenset()):
        assert isinstance(decided([never, rule(kinds=frozenset({"pan"}))], kinds=kinds), Permit)
        assert isinstance(decided([rule("all", allows=False), rule()], kinds=kinds), Denial)
        assert isinstance(decided([rule(apps=frozenset({"other"}))], kinds=kinds), Denial)


@pytest.mark.parametrize(
    ("origin", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.1.2.3", False),
        ("fd00::1", True),
        ("fe80::1%eth0", False),
        ("", False),
        (None, False),
        ("10.1.2.3.4", False),
        ("localhost", False),
    ],
)
def test_networks(origin, inside):
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert isinstance(decided([rule(networks=networks)], origin=origin), Permit) is inside


def test_a_network_that_is_written_as_one_of_ipv6_is_the_same_network():
    networks = (ip_network("::ffff:10.0.0.0/104"),)
    for origin in ("10.1.2.3", "::ffff:10.1.2.3"):
        assert isinstance(decided([rule(networks=networks)], origin=origin), Permit)
        assert isinstance(decided([rule(allows=False, networks=networks), rule()], origin=origin), Denial)
    assert isinstance(decided([rule(allows=False, networks=networks), rule()], origin="11.1.2.3"), Permit)


@pytest.mark.parametrize("origin", [None, "", "unix", "10.0.0.256"])
def test_where_nobody_knows_from_where_a_rule_that_denies_a_network_denies(origin):
    networks = (ip_network("10.0.0.0/8"),)
    assert isinstance(decided([rule(allows=False, networks=networks), rule()], origin=origin), Denial)
    assert isinstance(decided([rule(networks=networks)], origin=origin), Denial)


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-03-02T07:00+00:00", True),  # winter: one hour before Berlin
        ("2026-03-02T06:59+00:00", False),
        ("2026-03-02T16:59+00:00", True),
        ("2026-03-02T17:00+00:00", False),
        ("2026-07-06T06:00+00:00", True),  # summer: two
        ("2026-07-06T16:00+00:00", False),
        ("2026-03-07T10:00+00:00", False),  # a Saturday
    ],
)
def test_hours_are_those_of_their_time_zone(at, inside):
    assert isinstance(decided([rule(hours=OFFICE)], at=datetime.fromisoformat(at)), Permit) is inside


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-03-06T22:00+00:00", True),  # Friday night
        ("2026-03-07T05:59+00:00", True),  # still that night
        ("2026-03-07T06:00+00:00", False),
        ("2026-03-07T23:00+00:00", False),  # Saturday night
        ("2026-03-06T03:00+00:00", False),  # Thursday night
    ],
)
def test_a_night_belongs_to_the_day_it_began_on(at, inside):
    friday_night = Hours(time(22), time(6), frozenset({"fri"}))
    assert isinstance(decided([rule(hours=friday_night)], at=datetime.fromisoformat(at)), Permit) is inside


def test_anybody_may_tokenize_unless_there_are_rules():
    asked = {"name": "tokenize", "app": "", "kinds": frozenset({"pan"})}
    assert isinstance(decided([], **asked), Permit)
    assert isinstance(decided([rule()], **asked), Denial)
    assert isinstance(decided([rule(actions=("tokenize",))], **asked), Permit)


def test_the_version_changes_with_every_rule_and_with_nothing_else():
    rules = [rule("one", apps=frozenset({"a", "b"})), rule("two", hours=OFFICE)]
    same = [rule("one", apps=frozenset({"b", "a"})), rule("two", hours=OFFICE)]
    assert Policy(rules).version == Policy(same).version
    others = [rules[::-1], rules[:1], [], [rules[0], rule("two", hours=replace(OFFICE, zone="UTC"))]]
    assert len({Policy(each).version for each in [rules, *others]}) == 5
    assert len(Policy(rules).version) == 16
