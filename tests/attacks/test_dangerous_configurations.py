"""Configurations that protect nothing, although they look as if they did."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import load
from proxy.errors import ConfigInvalid
from tests.harness import configuration


@pytest.mark.parametrize("selector", ["$.*", "$..*", "$.card.number"])
def test_an_exception_for_everything_is_refused(tmp_path: Path, selector: str):
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2")
    methods = 'methods  = ["POST"]'
    config.write_text(config.read_text().replace(methods, f'{methods}\nguard_except = ["{selector}"]', 1))
    with pytest.raises(ConfigInvalid):
        load(config)
