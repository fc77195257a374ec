"""The PostgreSQL that Panless runs itself: our own child process, on a socket in the data directory."""

from vault.store.embedded.lifecycle import EmbeddedDatabase

__all__ = ["EmbeddedDatabase"]
