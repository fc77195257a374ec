"""Key providers that are taken away and brought back while processes use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.harness import kms, openbao, softhsm
from tests.harness.kms import DUMMY

Step = Callable[[], Awaitable[object]]


async def _nothing() -> None:
    pass


@dataclass
class Provided:
    """`keys` is what [keys] says of it. Each of `ways` takes it away, then brings it back.

    `offer` is what an administrator does before a rotation: there is a KEK to rotate to.
    """

    keys: str
    ways: Sequence[tuple[Step, Step]]
    env: Mapping[str, str] = field(default_factory=dict)
    offer: Step = _nothing


@asynccontextmanager
async def transit(folder: Path) -> AsyncIterator[Provided]:
    """OpenBao: its process ends and another one starts, then it is sealed and unsealed."""
    async with openbao.running(folder) as server:
        (folder / "token").write_text(server.root)

        async def start() -> None:
            await server.start()
            await server.unseal()

        keys = (
            f'provider = "transit"\naddress = "{server.url}"\nca = "{server.ca}"\ntoken = "file:{folder / "token"}"\n'
        )
        yield Provided(keys, [(server.stop, start), (server.seal, server.unseal)])


@asynccontextmanager
async def aws_kms(folder: Path) -> AsyncIterator[Provided]:
    """The stand-in of AWS KMS: nothing listens at its port any more. It keeps its keys."""
    with kms.serving() as server:

        async def start() -> None:
            server.start()

        async def stop() -> None:
            await asyncio.to_thread(server.stop)

        async def offer() -> None:
            new = await server.new_key()
            await server.call("update_alias", AliasName="alias/panless", TargetKeyId=new)

        await server.new_key("alias/panless")
        keys = f'provider = "aws-kms"\nkey = "alias/panless"\nregion = "{kms.REGION}"\nendpoint = "{server.url}"\n'
        yield Provided(keys, [(stop, start)] * 2, DUMMY, offer)


@asynccontextmanager
async def pkcs11(folder: Path) -> AsyncIterator[Provided]:
    """A token of SoftHSM2 that is pulled out and put in again."""
    if softhsm.left_out():
        pytest.skip("there is no SoftHSM2")
    hsm = softhsm.SoftHsm(folder)
    token, away = await hsm.new_token("vault", "1234"), folder / "away"
    (folder / "pin").write_text("1234")

    async def pull() -> None:
        token.rename(away)

    async def put() -> None:
        away.rename(token)

    keys = f'provider = "pkcs11"\nmodule = "{hsm.library}"\ntoken = "vault"\npin = "file:{folder / "pin"}"\n'
    yield Provided(keys, [(pull, put)] * 2, {"SOFTHSM2_CONF": str(hsm.config)})
