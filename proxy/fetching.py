"""All secrets of a configuration, fetched before anything is built: at once, and each of them once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from proxy.config import Config
from proxy.config.secrets import AwsSecretsConfig, TransitKvConfig, references_in
from proxy.secrets import LocalSecrets, Secrets, SecretUnavailable
from proxy.secrets.aws_secrets import AwsSecretsSettings, fetch_aws_secrets
from proxy.secrets.references import LOCAL, Managed, managed
from proxy.secrets.transit_kv import TransitKvSettings, fetch_transit_kv
from proxy.settings import vault_settings
from vault.key_settings import AppRole
from vault.settings import VaultSettings

Found = Mapping[str, str | SecretUnavailable]
Fetch = Callable[[Mapping[str, Managed]], Awaitable[Found]]


async def fetch(config: Config) -> Secrets:
    """Fetch what the configuration refers to. What is not to be had is told when it is looked up."""
    references = sorted(set(references_in(config)))
    found: dict[str, str | SecretUnavailable] = {}
    local = LocalSecrets(config.folder)
    for each in references:
        if each.partition(":")[0] in LOCAL:
            found[each] = _local(local, each)
    asked = (_managed(references, scheme, fetcher) for scheme, fetcher in _managers(config).items())
    for answer in await asyncio.gather(*asked):
        found.update(answer)
    values = {each: value for each, value in found.items() if isinstance(value, str)}
    return Secrets(values, {each: str(why) for each, why in found.items() if isinstance(why, SecretUnavailable)})


async def fetched_settings(config: Config) -> VaultSettings:
    """Return what the vault has to be told, for a command; raises ConfigInvalid if a secret is not to be had."""
    secrets = await fetch(config)
    return vault_settings(config, lambda: secrets)


def _local(local: LocalSecrets, reference: str) -> str | SecretUnavailable:
    try:
        return local.get(reference)
    except SecretUnavailable as error:
        return error


async def _managed(references: list[str], scheme: str, fetcher: Fetch) -> Found:
    wanted = {each: managed(each) for each in references if each.startswith(f"{scheme}:")}
    return await fetcher(wanted) if wanted else {}


def _managers(config: Config) -> dict[str, Fetch]:
    managers: dict[str, Fetch] = {}
    if (kv := config.secrets.transit_kv) is not None:
        kv_settings = _transit_kv(kv, config)
        managers["transit-kv"] = lambda wanted: fetch_transit_kv(kv_settings, wanted)
    if (aws := config.secrets.aws_secrets) is not None:
        aws_settings = _aws_secrets(aws)
        managers["aws-secrets"] = lambda wanted: fetch_aws_secrets(aws_settings, wanted)
    return managers


def _transit_kv(kv: TransitKvConfig, config: Config) -> TransitKvSettings:
    local = LocalSecrets(config.folder)

    def read(reference: str | None) -> str:
        return local.get(reference or "")

    login = (
        (lambda: read(kv.token))
        if kv.token is not None
        else AppRole(lambda: read(kv.role_id), lambda: read(kv.secret_id), kv.approle_mount)
    )
    ca = config.resolve(kv.ca) if kv.ca else None
    return TransitKvSettings(kv.address, login, kv.mount, kv.namespace, ca, kv.timeout_seconds)


def _aws_secrets(aws: AwsSecretsConfig) -> AwsSecretsSettings:
    return AwsSecretsSettings(aws.region, aws.endpoint, aws.timeout_seconds)
