"""One OpenBao for the tests that do not stop it; each test gets a key of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.openbao import OpenBao, running
from vault.key_settings import TransitSettings
from vault.keys.transit import TransitKeyProvider

_numbers = iter(range(10**6))


@pytest.fixture(scope="session")
async def bao(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenBao]:
    async with running(tmp_path_factory.mktemp("open bao")) as server:
        yield server


@pytest.fixture
async def name(bao: OpenBao) -> str:
    """The name of a new key, made as the documents say."""
    name = f"key{next(_numbers)}"
    await bao.call("POST", f"transit/keys/{name}", {"type": "aes256-gcm96", "derived": True})
    return name


@pytest.fixture
def settings(bao: OpenBao, name: str) -> TransitSettings:
    return TransitSettings(bao.url, name, lambda: bao.root, ca=bao.ca, timeout=10)


@pytest.fixture
async def open_provider(settings: TransitSettings) -> AsyncIterator[Callable[..., TransitKeyProvider]]:
    """Build providers; keyword arguments replace settings."""
    opened: list[TransitKeyProvider] = []

    def build(base: TransitSettings = settings, **changes) -> TransitKeyProvider:
        opened.append(TransitKeyProvider(replace(base, **changes)))
        return opened[-1]

    yield build
    for provider in opened:
        await provider.close()


@pytest.fixture
def provider(open_provider: Callable[..., TransitKeyProvider]) -> TransitKeyProvider:
    return open_provider()


def policies(page: Path = Path(__file__).parents[4] / "docs" / "keys" / "transit.md") -> list[str]:
    """The policies of the documents: serving, tenants, operating."""
    return [part.split("```")[0] for part in page.read_text().split("```hcl\n")[1:]]
