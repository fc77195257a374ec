"""Key provider `transit`: KEKs are versions of keys in the transit engine of OpenBao or HashiCorp Vault."""

from vault.keys.transit.provider import TransitKeyProvider

__all__ = ["TransitKeyProvider"]
