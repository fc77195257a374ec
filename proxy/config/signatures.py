"""The model of how webhooks to applications are signed."""

from __future__ import annotations

from proxy.config.base import Model
from proxy.config.verifying import SecretReferences
from proxy.verifying.standard import secret_bytes


class SignConfig(Model):
    """Standard Webhooks: `whsec_...`; with several, each of them signs."""

    secret: SecretReferences

    def compile(self, secrets: tuple[str, ...]) -> tuple[bytes, ...]:
        """Return the secrets; raises ValueError, which shows nothing of one."""
        return tuple(map(secret_bytes, secrets))
