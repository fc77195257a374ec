"""Building key providers from their settings. What one of them needs is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from vault.errors import KeyUnavailable
from vault.key_settings import (
    AwsKmsSettings,
    CustodiansSettings,
    FileSettings,
    Pkcs11Settings,
    ProviderSettings,
    TransitSettings,
)
from vault.keys.file import FileKeyProvider
from vault.keys.provider import KeyProvider


def build(settings: ProviderSettings) -> KeyProvider:
    """Return the provider; raises KeyUnavailable if it cannot even be set up."""
    match settings:
        case FileSettings():
            return FileKeyProvider(settings)
        case CustodiansSettings():
            return _custodians(settings)
        case TransitSettings():
            from vault.keys.transit import TransitKeyProvider  # noqa: PLC0415  # an HTTP client

            return TransitKeyProvider(settings)
        case AwsKmsSettings():
            return _aws_kms(settings)
        case Pkcs11Settings():
            return _pkcs11(settings)


def build_all(settings: Sequence[ProviderSettings]) -> list[KeyProvider]:
    """Return the providers in the order of their settings."""
    return [build(each) for each in settings]


def _custodians(settings: CustodiansSettings) -> KeyProvider:
    try:
        from vault.keys.custodians import CustodiansKeyProvider  # noqa: PLC0415  # an extra
    except ImportError:
        raise _missing("custodians") from None
    return CustodiansKeyProvider(settings)


def _aws_kms(settings: AwsKmsSettings) -> KeyProvider:
    try:
        from vault.keys.aws_kms import AwsKmsProvider  # noqa: PLC0415  # an extra
    except ImportError:
        raise _missing("aws-kms") from None
    return AwsKmsProvider(settings)


def _pkcs11(settings: Pkcs11Settings) -> KeyProvider:
    try:
        from vault.keys.pkcs11 import Pkcs11KeyProvider  # noqa: PLC0415  # an extra
    except ImportError:
        raise _missing("pkcs11") from None
    return Pkcs11KeyProvider(settings)


def _missing(extra: str) -> KeyUnavailable:
    return KeyUnavailable(key=extra, reason=f"its library is missing; run pip install 'panless[{extra}]'")
