"""panless keys: the key that protects all others."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.cli.running import config_option
from proxy.config import load
from proxy.settings import vault_settings
from vault.key_settings import FileSettings
from vault.upkeep.startup import create_kek


@click.group()
def keys() -> None:
    """The key-encryption key (KEK)."""


@keys.command()
@config_option
def init(config_file: Path) -> None:
    """Make a new KEK file for provider `file`, readable by its owner alone. An existing one is never replaced.

    Keep a copy apart from the database: without the KEK nothing in the vault can be opened again.
    """
    file = vault_settings(load(config_file)).providers[0]
    if not isinstance(file, FileSettings):
        raise click.UsageError("This is for provider `file`; docs/keys.md says how the others get their KEK.")
    create_kek(file)
    click.echo(f"A new KEK is in {file.path}. Keep a copy of it apart from the database.")
