"""From the configuration to what the vault has to be told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from proxy.config import Config
from proxy.config.keys import AnyProvider, AwsKmsKeys, CustodianKeys, FileKeys, Pkcs11Keys, TransitKeys
from proxy.config.policy import limits
from proxy.errors import ConfigInvalid
from proxy.secrets import LocalSecrets, Lookup, SecretUnavailable
from proxy.secrets.references import LOCAL
from vault.key_settings import (
    AppRole,
    AwsKmsSettings,
    CustodiansSettings,
    FileSettings,
    Pkcs11Settings,
    ProviderSettings,
    Secret,
    TransitSettings,
)
from vault.policy import Policy
from vault.settings import VaultSettings

Latest = Callable[[], Lookup]


def vault_settings(config: Config, latest: Latest | None = None) -> VaultSettings:
    """Resolve paths and database URLs; raises ConfigInvalid if a secret is not to be had.

    `latest` returns the secrets as they were last fetched; without it, those of this machine can be had.
    """
    latest = latest or _of_this_machine(config)
    data_dir = config.resolve(config.data_dir)
    database = config.database
    named = {"proxy": database.url, "owner": database.owner_url, "auditor": database.auditor_url}
    return VaultSettings(
        data_dir=data_dir,
        providers=[provider_settings(each, config, latest) for each in (config.keys, *config.keys.also)],
        urls={name: _url(config, name, url, latest()) for name, url in named.items() if url is not None},
        statement_cache=database.statement_cache,
        tenant_keks=config.keys.tenant_keks,
        key_cache=timedelta(seconds=config.keys.cache_seconds),
        cvc_lifetime=timedelta(seconds=config.vault.cvc_seconds),
        cvc_attempts=config.vault.cvc_attempts,
        reuse_tokens=config.vault.reuse_tokens,
        limits=limits(config.velocity, config.unusual),
        checkpoint_every=timedelta(seconds=config.audit.checkpoint_seconds),
    )


def policy_of(config: Config) -> Policy:
    """Return the rules that requests are decided by."""
    return Policy([each.rule() for each in config.policy])


def provider_settings(keys: AnyProvider, config: Config, latest: Latest | None = None) -> ProviderSettings:
    """Return what a key provider has to be told. Secrets are read when they are needed, not here."""
    latest = latest or _of_this_machine(config)
    match keys:
        case FileKeys():
            data_dir = config.resolve(config.data_dir)
            return FileSettings(config.resolve(keys.path) if keys.path else data_dir / "kek", data_dir / "postgres")
        case TransitKeys():
            return TransitSettings(
                keys.address,
                keys.key,
                _login(keys, config, latest),
                keys.mount,
                keys.namespace,
                config.resolve(keys.ca) if keys.ca else None,
                keys.timeout_seconds,
            )
        case AwsKmsKeys():
            return AwsKmsSettings(keys.key, keys.region, keys.endpoint, keys.timeout_seconds)
        case Pkcs11Keys():
            module = config.resolve(keys.module)
            return Pkcs11Settings(module, keys.token, _secret(keys.pin, config, latest), keys.key, keys.timeout_seconds)
        case CustodianKeys():
            return CustodiansSettings(config.resolve(keys.record))


def _login(keys: TransitKeys, config: Config, latest: Latest) -> Secret | AppRole:
    if keys.token is not None:
        return _secret(keys.token, config, latest)
    if keys.role_id is None or keys.secret_id is None:
        raise AssertionError("the model takes no transit without a login")
    return AppRole(keys.role_id, _secret(keys.secret_id, config, latest), keys.approle_mount)


def _secret(reference: str, config: Config, latest: Latest) -> Secret:
    """Return where a provider reads a secret anew: on this machine each time, else as it was last fetched."""
    if reference.partition(":")[0] in LOCAL:
        return lambda: LocalSecrets(config.folder).get(reference)
    return lambda: latest().get(reference)


def _of_this_machine(config: Config) -> Latest:
    return lambda: LocalSecrets(config.folder)


def _url(config: Config, name: str, url: str, secrets: Lookup) -> str:
    if url.startswith(("postgres:", "postgresql:")):
        return url
    try:
        return secrets.get(url)
    except SecretUnavailable as error:
        key = "database.url" if name == "proxy" else f"database.{name}_url"
        raise ConfigInvalid(file=str(config.file), key=key, problem=str(error)) from None
