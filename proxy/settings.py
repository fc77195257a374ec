"""From the configuration to what the vault has to be told."""

from __future__ import annotations

from datetime import timedelta

from proxy.config import Config
from proxy.errors import ConfigInvalid
from proxy.secrets import SecretUnavailable, resolve
from vault.settings import VaultSettings


def vault_settings(config: Config) -> VaultSettings:
    """Resolve paths and database URLs; raises ConfigInvalid if a secret is not to be had."""
    data_dir = config.resolve(config.data_dir)
    database = config.database
    named = {"proxy": database.url, "owner": database.owner_url, "auditor": database.auditor_url}
    return VaultSettings(
        data_dir=data_dir,
        kek_file=config.resolve(config.keys.path) if config.keys.path else data_dir / "kek",
        urls={name: _url(config, name, url) for name, url in named.items() if url is not None},
        statement_cache=database.statement_cache,
        key_cache=timedelta(seconds=config.keys.cache_seconds),
        cvc_lifetime=timedelta(seconds=config.vault.cvc_seconds),
        cvc_attempts=config.vault.cvc_attempts,
        reuse_tokens=config.vault.reuse_tokens,
    )


def _url(config: Config, name: str, url: str) -> str:
    if not url.startswith(("env:", "file:")):
        return url
    try:
        return resolve(url, config.folder)
    except SecretUnavailable as error:
        key = "database.url" if name == "proxy" else f"database.{name}_url"
        raise ConfigInvalid(file=str(config.file), key=key, problem=str(error)) from None
