"""Filters of GET /audit/events: what is no filter is refused, before anybody asks the database."""

from __future__ import annotations

import pytest

from proxy.audit_reading import MOST_EVENTS, read_filter
from proxy.errors import FilterInvalid


def test_a_limit_is_read_whole():
    assert read_filter({"limit": str(MOST_EVENTS)}).limit == MOST_EVENTS
    assert read_filter({"limit": "0000000007"}).limit == 7
    for limit in ("0", "10001", "00000110000000", "000001" + "9" * 30, "9" * 5000, "", "-1", "٣", "1e3"):
        with pytest.raises(FilterInvalid):
            read_filter({"limit": limit})


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026", "now"])
def test_a_time_that_there_is_not_is_no_filter(name, time):
    with pytest.raises(FilterInvalid):
        read_filter({name: time})
