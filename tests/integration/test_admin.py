"""The admin listener: health, readiness, metrics."""

from __future__ import annotations


async def _get(world, path):
    async with world.client.get(world.admin + path) as answer:
        return answer.status, await answer.text()


async def test_health_and_readiness(world):
    assert await _get(world, "/healthz") == (200, '{"status": "ok"}')
    assert await _get(world, "/readyz") == (200, '{"status": "ready"}')


async def test_metrics_count_requests_by_route_and_code(world):
    async with world.client.post(f"{world.inbound}/checkout", json={"card": {"number": "4242"}}) as answer:
        assert answer.status == 422
    await world.tokens()
    status, text = await _get(world, "/metrics")
    assert status == 200
    assert 'panless_requests_total{code="pan_invalid",listener="inbound",route="checkout",status="422"}' in text
    assert 'panless_values_total{action="tokenize",kind="pan"}' in text
    assert "panless_writer_batches" in text
    assert "panless_request_seconds_bucket" in text


async def test_concurrent_requests_share_commits(world):
    import asyncio
    import re

    async def figures():
        _, text = await _get(world, "/metrics")
        names = ("panless_writer_batches", "panless_writer_writes")
        return [float(re.search(rf"^{name} (\S+)", text, re.MULTILINE)[1]) for name in names]

    before = await figures()
    await asyncio.gather(*(world.tokens("6200000000000047") for _ in range(200)))
    batches, writes = (after - then for after, then in zip(await figures(), before, strict=True))
    assert writes == 200
    assert batches < 100


async def test_admin_listener_serves_nothing_else(world):
    assert (await _get(world, "/checkout"))[0] == 404
    async with world.client.post(f"{world.admin}/healthz") as answer:
        assert answer.status == 405


async def test_other_listeners_serve_no_admin_pages(world):
    for url in (world.inbound, world.outbound):
        async with world.client.get(f"{url}/metrics") as answer:
            assert answer.status == 404
