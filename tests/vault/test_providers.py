"""A vault over each key provider: what one process seals another one opens. While the provider is away, what is in
memory works on, a process that begins is refused, and afterwards all is well again by itself."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import kms, openbao, softhsm
from vault.errors import KeyProviderUnavailable
from vault.exposure import expose
from vault.key_settings import Pkcs11Settings, ProviderSettings, TransitSettings
from vault.kinds import PAN
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive
from vault.service import Vault
from vault.settings import VaultSettings

VISA = "4242424242424242"


@dataclass
class Provided:
    """A provider that can be taken away and brought back."""

    settings: ProviderSettings
    end: Callable[[], Awaitable[None]]
    begin: Callable[[], Awaitable[None]]


@asynccontextmanager
async def transit(folder: Path) -> AsyncIterator[Provided]:
    async with openbao.running(folder) as server:
        settings = TransitSettings(server.url, "panless", lambda: server.root, ca=server.ca)
        yield Provided(settings, server.seal, server.unseal)


@asynccontextmanager
async def aws_kms(folder: Path) -> AsyncIterator[Provided]:
    with kms.serving() as server:

        async def begin() -> None:
            server.start()

        async def end() -> None:
            server.stop()

        yield Provided(server.settings_of(await server.new_key()), end, begin)


@asynccontextmanager
async def pkcs11(folder: Path) -> AsyncIterator[Provided]:
    if softhsm.left_out():
        pytest.skip("there is no SoftHSM2")
    hsm = softhsm.SoftHsm(folder)
    os.environ["SOFTHSM2_CONF"] = str(hsm.config)
    token, away = await hsm.new_token("vault", "1234"), folder / "away"

    async def begin() -> None:
        away.rename(token)

    async def end() -> None:
        token.rename(away)

    yield Provided(Pkcs11Settings(hsm.library, "vault", lambda: "1234"), end, begin)
    del os.environ["SOFTHSM2_CONF"]


@pytest.mark.parametrize("provided", [transit, aws_kms, pkcs11], ids=lambda each: each.__name__)
async def test_cards_go_in_and_come_out_over_each_provider(provided, tmp_path, database, owner, permit, context):
    async with provided(tmp_path) as provider:
        settings = VaultSettings(tmp_path, [provider.settings])

        async def revealed(vault: Vault) -> str:
            (value,) = await vault.reveal([Reference(PAN, token, "$.pan")], permit, context)
            return expose(value.value)

        first = await Vault.open(settings, database)
        (token,) = await first.tokenize([NewValue(PAN, Sensitive(VISA), "$.pan")], "default", context)
        second = await Vault.open(settings, database)
        assert await revealed(first) == await revealed(second) == VISA
        keks = {row["kek"] for row in await owner.fetch("SELECT kek FROM data_keys")}
        assert len(keks) == 1
        await provider.end()
        assert await revealed(first) == VISA
        third = await Vault.open(settings, database)
        for refused in (revealed(third), first.health()):
            with pytest.raises(KeyProviderUnavailable):
                await refused
        await provider.begin()
        await first.health()
        assert await revealed(third) == VISA
        for vault in (first, second, third):
            await vault.close()
