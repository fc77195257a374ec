"""The fixtures of the vault's tests, for attacks on its keys."""

from __future__ import annotations

from tests.vault.conftest import (
    context,
    database,
    kek,
    migrated,
    open_pool,
    open_vault,
    owner,
    permit,
    settings,
    vault,
    working,
)

__all__ = [
    "context",
    "database",
    "kek",
    "migrated",
    "open_pool",
    "open_vault",
    "owner",
    "permit",
    "settings",
    "vault",
    "working",
]
