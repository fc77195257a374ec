"""Certificates of the forward proxy: its own authority, and leaves for the hosts that it stands in for.

ECDSA over P-256. A private key is kept as its 32-byte number, so that any key provider can wrap it like a data key.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vault.crypto.encoding import length_prefixed

AUTHORITY_YEARS = 10
LEAF_LIFETIME = timedelta(days=30)
# Clocks of clients may be behind ours.
_BACKDATED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class StoredAuthority:
    """A row of `authorities`: the certificate in clear, its private key wrapped by the KEK named in `kek`."""

    id: UUID
    state: str
    certificate: bytes
    kek: str
    wrapped: bytes | None
    created_at: datetime
    not_after: datetime

    @property
    def context(self) -> bytes:
        """What wrapping binds the key to: beside another certificate, or under another id, it does not unwrap."""
        return b"panless authority" + length_prefixed(self.id.bytes, hashlib.sha256(self.certificate).digest())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` shows it."""
        return hashlib.sha256(self.certificate).digest().hex(":").upper()

    @property
    def pem(self) -> bytes:
        """The certificate, for the clients that have to trust it."""
        return x509.load_der_x509_certificate(self.certificate).public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A host's certificate and its private key, in one PEM."""

    host: str
    not_after: datetime
    pem: bytes = field(repr=False)


def new_authority(authority_id: UUID, now: datetime) -> tuple[bytes, bytes]:
    """Return a new authority's certificate (DER), and its private key as 32 bytes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Panless CA {authority_id.hex[-8:]}")])
    certificate = (
        _builder(name, name, key.public_key())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(authority_end(now))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    return certificate.public_bytes(serialization.Encoding.DER), secret


def authority_end(now: datetime) -> datetime:
    """Return when an authority that is made now ends."""
    return (now + timedelta(days=365 * AUTHORITY_YEARS)).replace(microsecond=0)


def new_leaf(certificate: bytes, secret: bytes, host: str, now: datetime) -> Leaf:
    """Return a certificate for one host, signed by an authority; it ends with the authority at the latest."""
    issuer = x509.load_der_x509_certificate(certificate)
    issuer_key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + LEAF_LIFETIME, issuer.not_valid_after_utc)
    signed = (
        _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Panless")]), issuer.subject, key.public_key())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Leaf(host, end, signed.public_bytes(serialization.Encoding.PEM) + private)


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
