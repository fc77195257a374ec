"""`aws-secrets:NAME` and `aws-secrets:NAME#FIELD`: AWS Secrets Manager. Credentials come from where its SDK looks."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy.secrets.references import Managed, SecretUnavailable

# The SDK would log answers in full at level DEBUG.
_LOGGERS = ("botocore", "aiobotocore")


@dataclass(frozen=True, slots=True)
class AwsSecretsSettings:
    """`timeout` in seconds, for each call."""

    region: str
    endpoint: str | None = None
    timeout: float = 5.0


async def fetch_aws_secrets(
    settings: AwsSecretsSettings, wanted: Mapping[str, Managed]
) -> Mapping[str, str | SecretUnavailable]:
    """Return the value of each reference, or why it is not to be had. Each name is asked for once."""
    try:
        from aiobotocore.config import AioConfig  # noqa: PLC0415  # an extra
        from aiobotocore.session import get_session  # noqa: PLC0415
    except ImportError:
        missing = SecretUnavailable("aws-secrets needs an extra: pip install 'panless[aws-secrets]'")
        return dict.fromkeys(wanted, missing)
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    waits = AioConfig(
        connect_timeout=settings.timeout, read_timeout=settings.timeout, retries={"total_max_attempts": 2}
    )
    names = sorted({each.place for each in wanted.values()})
    try:
        async with get_session().create_client(
            "secretsmanager", region_name=settings.region, endpoint_url=settings.endpoint, config=waits
        ) as client:
            found = dict(zip(names, await asyncio.gather(*(_one(client, name) for name in names)), strict=True))
    except Exception as error:  # noqa: BLE001  # the SDK's errors have no base, and their messages may be anything
        reason = type(error).__name__
        return {each: SecretUnavailable(f"{each} cannot be read: {reason}") for each in wanted}
    return {reference: _field(reference, each, found[each.place]) for reference, each in wanted.items()}


async def _one(client: Any, name: str) -> str | SecretUnavailable:
    try:
        value = (await client.get_secret_value(SecretId=name)).get("SecretString")
    except Exception as error:  # noqa: BLE001
        code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
        return SecretUnavailable(f"aws-secrets:{name} cannot be read: {code}")
    if isinstance(value, str) and value:
        return value
    return SecretUnavailable(f"aws-secrets:{name} holds no text")


def _field(reference: str, wanted: Managed, found: str | SecretUnavailable) -> str | SecretUnavailable:
    if isinstance(found, SecretUnavailable) or not wanted.field:
        return found
    members = _members(found)
    value = members.get(wanted.field) if members is not None else None
    if isinstance(value, str) and value:
        return value
    return SecretUnavailable(f"{reference} is not there: the secret has no text in that field")


def _members(text: str) -> dict[str, Any] | None:
    # A JSON error would carry the secret along.
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
