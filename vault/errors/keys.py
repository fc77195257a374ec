"""Keys that cannot be used."""

from __future__ import annotations

from vault.errors.base import PanlessError


class KeyFailure(PanlessError):
    """A key is not usable. Nothing was sealed or opened with it."""


class KeyUnavailable(KeyFailure):
    code = "key_unavailable"
    message = "Key {key} cannot be used: {reason}."
    remedy = "Operators: check the key provider in [keys]; see /readyz."


class KeyProviderUnavailable(KeyUnavailable):
    code = "key_provider_unavailable"
    message = "Key provider {provider} does not answer: {reason}."
    remedy = "Retry the request; it is safe to send again. Operators: see docs/keys.md and /readyz."


class VaultSealed(KeyProviderUnavailable):
    code = "vault_sealed"
    message = "Panless is sealed: {given} of {needed} custodians have given their shares of the KEK."
    remedy = "Operators: let the custodians run `panless unseal`."


class KeyCompromised(KeyFailure):
    code = "key_compromised"
    message = "Key {key} was declared compromised and is no longer used."
    remedy = "Retry later: its records are being sealed again. Operators: `panless keys status`, `panless keys reseal`."


class KeyDestroyed(KeyFailure):
    code = "key_destroyed"
    message = "Key {key} was destroyed; what it sealed cannot be opened again."
    remedy = "Collect the value from the customer again."


class AuthorityMissing(KeyFailure):
    code = "authority_missing"
    message = "There is no valid certificate authority for the forward proxy."
    remedy = (
        "Operators: run `panless ca show --config FILE`, as the database's owner: it makes the first one. An expired "
        "one is replaced by `panless ca rotate`, then `panless ca rotate --activate`."
    )


class RecordDoesNotOpen(KeyFailure):
    code = "record_corrupt"
    message = "The sealed record of {token} does not open."
    remedy = "Operators: the row was changed, moved or sealed under another key; restore it from a backup."
