"""The demo tells the story once and checks it while it tells it."""

from __future__ import annotations

import pytest

from tests.harness.process import panless


@pytest.mark.usefixtures("own_interpreter")
async def test_demo_once(tmp_path):
    for _ in range(2):  # the second time with the data of the first
        done = await panless("demo", "--once", "--data-dir", tmp_path / "demo")
        assert done.code == 0, done.out + done.err
        assert "✗" not in done.out
        assert done.out.count("✓") == 10
        assert "4242424242424242" not in done.out


async def test_demo_fails_when_a_promise_is_broken(tmp_path, monkeypatch):
    """Run the story against a Panless whose answers are neither scrubbed nor guarded: it has to notice."""
    from rich.console import Console

    from proxy.cli.story import Story
    from proxy.edge.leaks import LeakGuard
    from proxy.sandbox.parts import running
    from proxy.scrub.scrubber import Scrubber

    async def let_pass(self, plan, mode, exchange, known=()):
        return plan

    monkeypatch.setattr(Scrubber, "clean", lambda self, data, is_json=False: data)
    monkeypatch.setattr(LeakGuard, "judge", let_pass)
    async with running(tmp_path / "demo") as parts:
        story = Story(parts, Console(quiet=True))
        await story.tell()
    assert story.broken == ["the gateway echoed the card number; Panless took it out of the answer"]
    with pytest.raises(AssertionError):
        assert story.broken == []
