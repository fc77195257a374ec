"""From the configuration to what the vault has to be told."""

from __future__ import annotations

from datetime import timedelta

from proxy.config import Config
from proxy.config.keys import AnyProvider, AwsKmsKeys, CustodianKeys, FileKeys, Pkcs11Keys, TransitKeys
from proxy.errors import ConfigInvalid
from proxy.secrets import SecretUnavailable, resolve
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
from vault.settings import VaultSettings


def vault_settings(config: Config) -> VaultSettings:
    """Resolve paths and database URLs; raises ConfigInvalid if a secret is not to be had."""
    data_dir = config.resolve(config.data_dir)
    database = config.database
    named = {"proxy": database.url, "owner": database.owner_url, "auditor": database.auditor_url}
    return VaultSettings(
        data_dir=data_dir,
        providers=[provider_settings(each, config) for each in (config.keys, *config.keys.also)],
        urls={name: _url(config, name, url) for name, url in named.items() if url is not None},
        statement_cache=database.statement_cache,
        tenant_keks=config.keys.tenant_keks,
        key_cache=timedelta(seconds=config.keys.cache_seconds),
        cvc_lifetime=timedelta(seconds=config.vault.cvc_seconds),
        cvc_attempts=config.vault.cvc_attempts,
        reuse_tokens=config.vault.reuse_tokens,
        checkpoint_every=timedelta(seconds=config.audit.checkpoint_seconds),
    )


def provider_settings(keys: AnyProvider, config: Config) -> ProviderSettings:
    """Return what a key provider has to be told. Secrets are read when they are needed, not here."""
    match keys:
        case FileKeys():
            data_dir = config.resolve(config.data_dir)
            return FileSettings(config.resolve(keys.path) if keys.path else data_dir / "kek", data_dir / "postgres")
        case TransitKeys():
            return TransitSettings(
                keys.address,
                keys.key,
                _login(keys, config),
                keys.mount,
                keys.namespace,
                config.resolve(keys.ca) if keys.ca else None,
                keys.timeout_seconds,
            )
        case AwsKmsKeys():
            return AwsKmsSettings(keys.key, keys.region, keys.endpoint, keys.timeout_seconds)
        case Pkcs11Keys():
            module = config.resolve(keys.module)
            return Pkcs11Settings(module, keys.token, _secret(keys.pin, config), keys.key, keys.timeout_seconds)
        case CustodianKeys():
            return CustodiansSettings(config.resolve(keys.record))


def _login(keys: TransitKeys, config: Config) -> Secret | AppRole:
    if keys.token is not None:
        return _secret(keys.token, config)
    if keys.role_id is None or keys.secret_id is None:
        raise AssertionError("the model takes no transit without a login")
    return AppRole(keys.role_id, _secret(keys.secret_id, config), keys.approle_mount)


def _secret(reference: str, config: Config) -> Secret:
    return lambda: resolve(reference, config.folder)


def _url(config: Config, name: str, url: str) -> str:
    if not url.startswith(("env:", "file:")):
        return url
    try:
        return resolve(url, config.folder)
    except SecretUnavailable as error:
        key = "database.url" if name == "proxy" else f"database.{name}_url"
        raise ConfigInvalid(file=str(config.file), key=key, problem=str(error)) from None
