"""What the vault has to be told: a value that the composition root makes from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """`urls`: database URL per role name (`owner`, `proxy`, `auditor`); empty means the embedded PostgreSQL."""

    data_dir: Path
    kek_file: Path
    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    statement_cache: bool = True
    key_cache: timedelta = timedelta(minutes=10)
    cvc_lifetime: timedelta = timedelta(hours=1)
    cvc_attempts: int = 10
    reuse_tokens: bool = True

    @property
    def embedded(self) -> bool:
        """Whether Panless runs the database itself."""
        return not self.urls
