"""What each key provider has to be told: values that the composition root makes from the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Read anew whenever it is needed: tokens and PINs are replaced while Panless runs. Raises ValueError, without a value.
Secret = Callable[[], str]


@dataclass(frozen=True, slots=True)
class FileSettings:
    """Provider `file`. `path`: the file with the KEKs; `forbidden`: a directory that it must not be in."""

    path: Path
    forbidden: Path | None = None


@dataclass(frozen=True, slots=True)
class AppRole:
    """Signing in to OpenBao or HashiCorp Vault as an AppRole."""

    role_id: str | Secret
    secret_id: Secret
    mount: str = "approle"


class OpenBaoSettings(Protocol):
    """How a server of OpenBao or HashiCorp Vault is called. `login`: a token, or an AppRole that gets one."""

    @property
    def address(self) -> str: ...

    @property
    def login(self) -> Secret | AppRole: ...

    @property
    def namespace(self) -> str | None: ...

    @property
    def ca(self) -> Path | None: ...

    @property
    def timeout(self) -> float:
        """Seconds, for each call."""


@dataclass(frozen=True, slots=True)
class TransitSettings:
    """Provider `transit`. `login`: a token, or an AppRole that gets one. `timeout` in seconds, for each call."""

    address: str
    key: str
    login: Secret | AppRole
    mount: str = "transit"
    namespace: str | None = None
    ca: Path | None = None
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class AwsKmsSettings:
    """Provider `aws-kms`. Credentials come from where the AWS SDK looks for them."""

    key: str
    region: str
    endpoint: str | None = None
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class Pkcs11Settings:
    """Provider `pkcs11`. `module`: the HSM's library; `token` and `key` are labels."""

    module: Path
    token: str
    pin: Secret
    key: str = "panless"
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class CustodiansSettings:
    """Provider `custodians`. `record`: the ceremony's public record, which holds no share."""

    record: Path


ProviderSettings = FileSettings | TransitSettings | AwsKmsSettings | Pkcs11Settings | CustodiansSettings
