"""`transit-kv:PATH#FIELD`: version 2 of the KV engine of OpenBao or HashiCorp Vault."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxy.secrets.references import Managed, SecretUnavailable
from vault.errors import KeyUnavailable
from vault.key_settings import AppRole, Secret

if TYPE_CHECKING:
    from vault.openbao.client import OpenBaoClient


@dataclass(frozen=True, slots=True)
class TransitKvSettings:
    """`mount`: of the KV engine. `timeout` in seconds, for each call."""

    address: str
    login: Secret | AppRole = field(repr=False)
    mount: str = "secret"
    namespace: str | None = None
    ca: Path | None = None
    timeout: float = 5.0


async def fetch_transit_kv(
    settings: TransitKvSettings, wanted: Mapping[str, Managed]
) -> Mapping[str, str | SecretUnavailable]:
    """Return the value of each reference, or why it is not to be had. Each path is asked for once."""
    from vault.openbao.client import OpenBaoClient  # noqa: PLC0415  # an HTTP client: only for who has such secrets

    client = OpenBaoClient(settings, "transit-kv")
    try:
        paths = sorted({each.place for each in wanted.values()})
        found = dict(zip(paths, await _read(client, settings.mount, paths), strict=True))
        return {reference: _field(each, found[each.place]) for reference, each in wanted.items()}
    finally:
        await client.close()


async def _read(client: OpenBaoClient, mount: str, paths: Sequence[str]) -> list[Mapping[str, Any] | SecretUnavailable]:
    return await asyncio.gather(*(_one(client, mount, path) for path in paths))


async def _one(client: OpenBaoClient, mount: str, path: str) -> Mapping[str, Any] | SecretUnavailable:
    where = f"transit-kv:{path}"
    try:
        answer = await client.call("GET", f"{mount}/data/{path}")
    except KeyUnavailable as error:
        return SecretUnavailable(f"{where} cannot be read: {error.ids.get('reason', error.code)}")
    if not answer.done:
        return SecretUnavailable(f"{where} cannot be read: the server refuses it (status {answer.status})")
    found = answer.data.get("data")
    return found if isinstance(found, dict) else SecretUnavailable(f"{where} holds nothing (KV version 2 is needed)")


def _field(wanted: Managed, found: Mapping[str, Any] | SecretUnavailable) -> str | SecretUnavailable:
    if isinstance(found, SecretUnavailable):
        return found
    value = found.get(wanted.field)
    if isinstance(value, str) and value:
        return value
    return SecretUnavailable(f"transit-kv:{wanted.place} has no text in {wanted.field}")
