"""Key provider `pkcs11`: KEKs are objects in an HSM, or in another token behind a PKCS #11 library."""

from vault.keys.pkcs11.provider import Pkcs11KeyProvider

__all__ = ["Pkcs11KeyProvider"]
