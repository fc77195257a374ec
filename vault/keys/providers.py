"""Building key providers from their settings. What an extra brings is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from vault.errors import KeyUnavailable
from vault.key_settings import CustodiansSettings, FileSettings, ProviderSettings
from vault.keys.file import FileKeyProvider
from vault.keys.provider import KeyProvider


def build(settings: ProviderSettings) -> KeyProvider:
    """Return the provider; raises KeyUnavailable if it cannot even be set up."""
    match settings:
        case FileSettings():
            return FileKeyProvider(settings)
        case CustodiansSettings():
            return _custodians(settings)
        case _:
            raise NotImplementedError


def build_all(settings: Sequence[ProviderSettings]) -> list[KeyProvider]:
    """Return the providers in the order of their settings."""
    return [build(each) for each in settings]


def _custodians(settings: CustodiansSettings) -> KeyProvider:
    try:
        from vault.keys.custodians import CustodiansKeyProvider  # noqa: PLC0415  # optional
    except ImportError:
        raise KeyUnavailable(key="kek", reason="`pip install 'panless[custodians]'` is missing") from None
    return CustodiansKeyProvider(settings)
