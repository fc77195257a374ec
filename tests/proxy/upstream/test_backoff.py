"""Waits before retries, what a Retry-After asks for, and the budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.backoff import FEW, RetryBudget, full_jitter, retry_after

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(0.001, 100), st.floats(0, 1))
def test_a_wait_is_between_nothing_and_the_cap(retry, base, cap, chance):
    assert 0 <= full_jitter(retry, base, cap, chance) <= cap


def test_waits_double_up_to_the_cap():
    assert [full_jitter(retry, 0.1, 1, 1) for retry in range(1, 7)] == [0.1, 0.2, 0.4, 0.8, 1, 1]
    assert full_jitter(3, 0.1, 1, 0) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("9" * 40, 10**9),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30),  # the obsolete forms of RFC 9110, section 5.6.7
        ("Sun Mar  1 12:00:30 2026", 30),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("١٢", None),
        ("Sun, 99 Mar 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after(text, seconds):
    assert retry_after(text, NOW) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_anything(text):
    assert (retry_after(text, NOW) or 0) >= 0


@given(st.integers(0, 10**6))
def test_a_date_says_how_long(seconds):
    text = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(text, NOW) == seconds


@given(st.lists(st.booleans(), max_size=2000), st.floats(0.01, 1))
def test_retries_are_at_most_a_share_of_the_requests_and_a_few(wishes, share):
    budget, requests, retries = RetryBudget(), 0, 0
    for wished in wishes:
        if wished:
            retries += budget.spend()
        else:
            requests += 1
            budget.earn(share)
    assert retries <= share * requests + FEW + 1e-6
