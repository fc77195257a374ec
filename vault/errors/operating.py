"""What an operator asked for, and cannot be done."""

from __future__ import annotations

from vault.errors.base import PanlessError


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


class OperatorNotFound(OperatorError):
    code = "operator_not_found"
    message = "Operator {operator} has no active key."
    remedy = "See `panless operator list`."


class OperatorOfOtherRole(OperatorError):
    code = "operator_other_role"
    message = "Operator {operator} exists already, with role {role}."
    remedy = "Choose another name, or leave --role as it is: a person's role is never changed."


class CredentialInUse(OperatorError):
    code = "credential_in_use"
    message = "This certificate is registered already."
    remedy = "Each application and each operator needs a certificate of its own; see `panless app list`."


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


class StopNotFound(OperatorError):
    code = "stop_not_found"
    message = "Nothing is stopped for {subject}."
    remedy = "See `panless limits list`."


class TokensNotFound(OperatorError):
    code = "tokens_not_found"
    message = "There is no token {what} in this vault."
    remedy = (
        "Check that it is complete and which tenant it belongs to; `panless token show` tells what is known of one."
    )
