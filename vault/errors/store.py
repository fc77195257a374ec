"""The database did not do what was asked."""

from __future__ import annotations

from vault.errors.base import PanlessError


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
