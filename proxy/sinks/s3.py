"""An S3 bucket: one object for each checkpoint, named by its number.

Give the bucket an object lock, so that it keeps them.
"""

from __future__ import annotations

from typing import Any

from proxy.config.audit import S3Sink
from proxy.sinks.payload import Payload, failed


class S3:
    """One bucket."""

    def __init__(self, config: S3Sink) -> None:
        self._config = config

    async def send(self, payload: Payload) -> None:
        try:
            from aiobotocore.session import get_session  # noqa: PLC0415  # optional
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        except ImportError:
            raise failed(self._config, "`pip install 'panless[s3]'` is missing") from None
        try:
            async with get_session().create_client("s3", **self._arguments()) as client:
                for note in payload.notes:
                    key = f"{self._config.prefix}{note.number:012d}"
                    await client.put_object(Bucket=self._config.bucket, Key=key, Body=note.note.encode())
        except (BotoCoreError, ClientError, OSError, TimeoutError):
            raise failed(self._config, "the object cannot be put") from None

    async def close(self) -> None:
        """Nothing is held."""

    def _arguments(self) -> dict[str, Any]:
        from aiobotocore.config import AioConfig  # noqa: PLC0415  # optional

        seconds = self._config.timeout_seconds
        limits = AioConfig(connect_timeout=seconds, read_timeout=seconds, retries={"max_attempts": 1})
        return {"region_name": self._config.region, "endpoint_url": self._config.endpoint, "config": limits}
