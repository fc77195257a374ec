"""The single door to plaintext.

"Who can see a PAN?" is answered by the list of modules that may import this one: the contract
`exposure is protected` in pyproject.toml.
"""

from __future__ import annotations

from vault.sensitive import Sensitive

_read = Sensitive._Sensitive__value.__get__  # type: ignore[attr-defined]  # the slot's own descriptor


def expose(value: Sensitive) -> str:
    """Return the plaintext. Call it at the last moment and do not keep what it returns."""
    plaintext: str = _read(value)
    return plaintext
