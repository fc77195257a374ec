"""A PKCS #11 library, which a process has once. Everything belongs to the library's thread.

Setting it up anew ends the sessions of all providers that use it, and gives their numbers again: a session of an
earlier epoch may be another token's by now, so it must not be used, nor closed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pkcs11

from vault.errors import KeyUnavailable

_libraries: dict[Path, Library] = {}


class Library:
    """`epoch` counts how often it was set up anew."""

    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded
        self.epoch = 0

    @classmethod
    def of(cls, path: Path) -> Library:
        """Load it; raises KeyUnavailable if there is none, PKCS11Error if it cannot be set up."""
        module = path.resolve()  # two names of a library would be two libraries
        if not module.is_file():
            raise KeyUnavailable(key="pkcs11", reason=f"there is no library {module}")
        loaded = pkcs11.lib(str(module))
        if module not in _libraries:
            _libraries[module] = cls(loaded)
        return _libraries[module]

    def begin_anew(self) -> None:
        """Set it up again, so that it notices tokens that came back; raises PKCS11Error."""
        self.epoch += 1
        self._loaded.reinitialize()

    def token(self, label: str) -> pkcs11.Token:
        """Find a token; raises PKCS11Error."""
        found: pkcs11.Token = self._loaded.get_token(token_label=label)
        return found
