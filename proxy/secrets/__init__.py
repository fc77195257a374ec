"""Secrets of the configuration: references to where they are. The configuration holds no secret itself."""

from proxy.secrets.fetched import LocalSecrets, Lookup, Secrets
from proxy.secrets.references import REFERENCE, SecretUnavailable, check_local, check_reference, resolve

__all__ = [
    "REFERENCE",
    "LocalSecrets",
    "Lookup",
    "SecretUnavailable",
    "Secrets",
    "check_local",
    "check_reference",
    "resolve",
]
