"""The audit log: canonical events, hash chains, verification. Pure."""
