"""What the vault has to be told: a value that the composition root makes from the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from vault.key_settings import ProviderSettings


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """`urls`: database URL per role name (`owner`, `proxy`, `auditor`); empty means the embedded PostgreSQL.

    `providers`: the first one makes new KEKs; the others' KEKs can be used as long as keys are wrapped by them.
    `tenant_keks`: each tenant's keys are wrapped by a KEK of the tenant's own.
    """

    data_dir: Path
    providers: Sequence[ProviderSettings]
    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    statement_cache: bool = True
    tenant_keks: bool = False
    key_cache: timedelta = timedelta(minutes=10)
    cvc_lifetime: timedelta = timedelta(hours=1)
    cvc_attempts: int = 10
    reuse_tokens: bool = True
    checkpoint_every: timedelta = timedelta(seconds=5)

    @property
    def embedded(self) -> bool:
        """Whether Panless runs the database itself."""
        return not self.urls
