"""The closed tree of errors.

An error carries a code, a sentence and opaque ids (token ids, key ids, selectors, offsets), never a value:
whoever logs or returns one cannot leak a card. Codes are part of the contract and never change meaning.
"""

from __future__ import annotations

from typing import ClassVar


class PanlessError(Exception):
    """Base of every error that Panless raises on purpose.

    `code` is stable and machine-readable; `message` is a template filled with the ids given to the constructor;
    `remedy` says what the reader can do next.
    """

    code: ClassVar[str] = "internal_error"
    message: ClassVar[str] = "Panless could not complete the request."
    remedy: ClassVar[str] = "Look up the request id in the log of Panless."

    def __init__(self, **ids: str | int) -> None:
        self.ids = ids
        super().__init__(f"{self.code}: {self.detail}")

    @property
    def detail(self) -> str:
        """The message with its ids filled in."""
        return self.message.format_map(self.ids)

    @property
    def advice(self) -> str:
        """The remedy with the ids filled in."""
        return self.remedy.format_map(self.ids)


class ValueRejected(PanlessError):
    """A value cannot be taken into the vault. The caller has to correct it."""


class NotACardNumber(ValueRejected):
    code = "pan_invalid"
    message = "The value at {at} is not a card number."
    remedy = "Send 12 to 19 digits that pass the Luhn check, as a string; spaces and dashes are fine."


class NotACvc(ValueRejected):
    code = "cvc_invalid"
    message = "The value at {at} is not a card verification code."
    remedy = "Send 3 or 4 digits as a string."


class NotOfItsKind(ValueRejected):
    code = "value_invalid"
    message = "The value at {at} is not a valid {kind}."
    remedy = "Send {expected}, or leave the field out."


class CardTokenGiven(ValueRejected):
    code = "pan_is_token"
    message = "The value at {at} is a token that this vault has issued, not a card number."
    remedy = "Send the card number; where the card is known already, use its token on an outbound route."


class CardTokensExhausted(ValueRejected):
    code = "card_tokens_exhausted"
    message = "No card-shaped token is free for {at}."
    remedy = "Operators: let the tokens of this field keep fewer of the card's digits, or make them longer."


class TokenRejected(PanlessError):
    """A token cannot be used. Nothing was revealed."""


class NotAToken(TokenRejected):
    code = "token_malformed"
    message = "The value at {at} is not a Panless token."
    remedy = "Send the token that the application received; raw values are never accepted from an application."


class TokenUnknown(TokenRejected):
    code = "token_unknown"
    message = "No record exists for token {token}."
    remedy = "Check that the token is complete and was made by this Panless; it may have been erased."


class TokenExpired(TokenRejected):
    code = "token_expired"
    message = "Token {token} is past its time or its uses."
    remedy = "Collect the value from the customer again."


class TokenOfOtherTenant(TokenRejected):
    code = "token_other_tenant"
    message = "Token {token} does not belong to this application's tenant."
    remedy = "Use an application key of the tenant that the token was made for."


class TokenOfWrongKind(TokenRejected):
    code = "token_wrong_kind"
    message = "Token {token} does not stand for a {kind}."
    remedy = "Check which token goes into which field."


class CvcGone(TokenRejected):
    code = "cvc_gone"
    message = "No card verification code is held for {at} any more."
    remedy = (
        "A gateway may have answered a request with this code already: find out whether that charge succeeded before "
        "you collect the code again."
    )


class Denied(PanlessError):
    """Policy does not allow it."""

    code = "not_permitted"
    message = "This application may not use route {route}."
    remedy = "Name the application in the route's `apps`, or use another route."


class AppUnknown(Denied):
    code = "app_unknown"
    message = "The request carries no valid application key."
    remedy = "Send the key that `panless app add` printed, in the Panless-Key header or where the SDK puts its key."


class AppKeyRevoked(Denied):
    code = "app_key_revoked"
    message = "The application's key has been revoked."
    remedy = "Make a new one with `panless app add`."


class OperatorError(PanlessError):
    """An operator asked for something that cannot be done."""


class AppNotFound(OperatorError):
    code = "app_not_found"
    message = "Application {app} has no active key."
    remedy = "See `panless app list`."


class AppOfOtherTenant(OperatorError):
    code = "app_other_tenant"
    message = "Application {app} exists already, for another tenant."
    remedy = "Choose another name, or add the key without --tenant."


class AuthorityNextExists(OperatorError):
    code = "authority_next_exists"
    message = "There is a next certificate authority already."
    remedy = "Let clients trust it (`panless ca export`), then activate it with `panless ca rotate --activate`."


class AuthorityNextMissing(OperatorError):
    code = "authority_next_missing"
    message = "There is no next certificate authority to activate."
    remedy = "Make it with `panless ca rotate`, let clients trust it (`panless ca export`), then activate it."


class ProcessesSilent(OperatorError):
    code = "processes_silent"
    message = "These Panless processes did not take notice of the change: {processes}."
    remedy = "Stop them or wait until they run again, then give the same command once more: it goes on where it was."


class KeysBusy(OperatorError):
    code = "keys_busy"
    message = "Another command is changing keys."
    remedy = "Wait until it has ended; `panless keys status` shows what is left to do."


class KekOutOfReach(OperatorError):
    code = "kek_out_of_reach"
    message = "Panless process {pid} on {host} has no access to {location}."
    remedy = (
        "Add that provider to its configuration, [[keys.also]], and start it again, or let custodians run `panless "
        "unseal`; then give the same command once more."
    )


class ProviderUnknown(OperatorError):
    code = "provider_unknown"
    message = "No key provider {provider} is configured."
    remedy = "Name one of those in [keys] and [[keys.also]]: file, transit, aws-kms, pkcs11 or custodians."


class KeyNotFound(OperatorError):
    code = "key_not_found"
    message = "There is no key {key}."
    remedy = "See `panless keys status --all`."


class KeyNotReady(OperatorError):
    code = "key_not_ready"
    message = "This cannot be done to key {key} now: {reason}."
    remedy = "{how}."


class TenantUnknown(OperatorError):
    code = "tenant_unknown"
    message = "There are no keys of tenant {tenant}."
    remedy = "See `panless keys status`."


class KekNotMade(OperatorError):
    code = "kek_not_made"
    message = "Key provider {provider} does not make KEKs itself."
    remedy = "{how}."


class KekNotDestroyed(OperatorError):
    code = "kek_not_destroyed"
    message = "Key provider {provider} does not destroy KEKs itself."
    remedy = "{how}."


class ShareRejected(OperatorError):
    code = "share_rejected"
    message = "The share was not taken: {reason}."
    remedy = "Enter the words of one share in their order, with spaces between them; see docs/keys/custodians.md."


class SharesDoNotFit(OperatorError):
    code = "shares_do_not_fit"
    message = "The {needed} shares that were given do not open {key}; all of them were dropped."
    remedy = "Begin again, with the shares as the ceremony gave them; compare the record with the ceremony's minutes."


class CeremonyRefused(OperatorError):
    code = "ceremony_refused"
    message = "The key ceremony was not held: {reason}."
    remedy = "Nothing was made. See docs/keys/custodians.md."


class StoreError(PanlessError):
    """The database did not do what was asked. Nothing was acknowledged."""


class DatabaseUnavailable(StoreError):
    code = "database_unavailable"
    message = "The vault's database cannot be reached."
    remedy = "Retry the request; it is safe to send again. Operators: see /readyz."


class DatabaseFull(StoreError):
    code = "database_full"
    message = "The vault's database has no room left to write."
    remedy = "Operators: free disk space on the database server; then retry the request."


class DatabaseFailed(StoreError):
    code = "database_failed"
    message = "The vault's database refused a statement (SQLSTATE {sqlstate})."
    remedy = "Operators: look up the SQLSTATE and the request id in the logs."


class KeysChanged(StoreError):
    code = "keys_changed"
    message = "Keys were changed while the request was handled."
    remedy = "Retry the request; it is safe to send again."


class SchemaMissing(StoreError):
    code = "schema_missing"
    message = "The database was never migrated."
    remedy = "Run `panless migrate --config FILE` with the owner's database URL, then start again."


class SchemaOutdated(StoreError):
    code = "schema_outdated"
    message = "The database is at migration {found}, this Panless needs {needed}."
    remedy = "Run `panless migrate --config FILE` with the owner's database URL, then start again."


class SchemaNewer(StoreError):
    code = "schema_newer"
    message = "The database is at migration {found}, this Panless knows only {needed}."
    remedy = "Install the Panless that the database was migrated with, or a newer one."


class RoleNotGranted(StoreError):
    code = "database_role_missing"
    message = "The database user of [database] url may not act as {role}."
    remedy = "As the database's owner, run: GRANT {role} TO the user that the URL names."


class MigrationChanged(StoreError):
    code = "migration_changed"
    message = "Migration {name} differs from the one that was applied."
    remedy = "Install the release that the database was migrated with, or a newer one."


class DataDirectoryInUse(StoreError):
    code = "data_dir_in_use"
    message = "Another Panless (process {pid}) is running on data directory {path}."
    remedy = "Stop it first, or give this one another data_dir."


class EmbeddedDatabaseFailed(StoreError):
    code = "embedded_database_failed"
    message = "The embedded PostgreSQL could not {step}: {reason}."
    remedy = "Read {log}; or set [database] url to a PostgreSQL of your own."


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
