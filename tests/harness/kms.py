"""A stand-in of AWS KMS on loopback (moto). It binds to the encryption context; it decrypts under disabled keys."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from aiobotocore.session import get_session
from moto.server import ThreadedMotoServer

from vault.key_settings import AwsKmsSettings

REGION = "eu-central-1"
# No credentials, profiles or instances of whoever runs the tests.
DUMMY = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "dummy",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Only these of the variables that the AWS SDK reads."""
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in before:
        del os.environ[name]
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)
        os.environ.update(before)


@dataclass
class Kms:
    """`call` is the account's administrator."""

    server: ThreadedMotoServer
    port: int = 0

    def start(self) -> None:
        """Listen again, at the same port."""
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.server.start()

    def stop(self) -> None:
        """Listen no more; its keys stay."""
        self.server.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> AwsKmsSettings:
        return AwsKmsSettings("alias/panless", REGION, self.url, 10)

    def settings_of(self, key: str, **changes) -> AwsKmsSettings:
        return replace(self.settings, key=key, **changes)

    async def call(self, operation: str, **arguments) -> dict:
        async with get_session().create_client("kms", region_name=REGION, endpoint_url=self.url) as client:
            return await getattr(client, operation)(**arguments)

    async def new_key(self, alias: str | None = None, **options) -> str:
        arn = (await self.call("create_key", **options))["KeyMetadata"]["Arn"]
        if alias is not None:
            # All servers of a process have one memory: another test may have left the alias there.
            known = {each["AliasName"] for each in (await self.call("list_aliases"))["Aliases"]}
            await self.call("update_alias" if alias in known else "create_alias", AliasName=alias, TargetKeyId=arn)
        return arn


@contextmanager
def serving(port: int = 0) -> Iterator[Kms]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    with environment(DUMMY):
        server.start()
        try:
            yield Kms(server, server.get_host_and_port()[1])
        finally:
            server.stop()
