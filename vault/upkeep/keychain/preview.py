"""What a rotation would do, said before it is done. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from vault.crypto.data_key import KeyState
from vault.upkeep.keychain.status import KeyStatus

Rotation = Literal["kek", "dek", "fingerprint", "signing", "reseal"]


def preview(rotation: Rotation, keys: Sequence[KeyStatus], tenant: str | None) -> list[str]:
    """Return a sentence for each thing that would be done."""
    concerned = [key for key in keys if tenant is None or key.tenant in (tenant, "")]
    active = [key for key in concerned if key.state == KeyState.ACTIVE]
    old = [key for key in concerned if key.state in (KeyState.DEACTIVATED, KeyState.COMPROMISED)]
    match rotation:
        case "kek":
            wrapped = sum(key.protects for key in concerned if key.what == "kek")
            return [f"A new KEK would be made, and {wrapped} keys would be wrapped by it. Records stay as they are."]
        case "dek":
            return [
                f"{_number(active, 'dek')} active data keys would seal no longer; new ones are made when needed.",
                "Records stay under their old keys until `panless keys reseal`.",
            ]
        case "reseal":
            records = sum(key.protects for key in old if key.what == "dek")
            return [f"{records} records under {_number(old, 'dek')} old data keys would be sealed again."]
        case "fingerprint":
            marks = sum(key.protects for key in (*active, *old) if key.what == "fingerprint")
            return [f"{marks} fingerprints would be made anew, and the old ones dropped. Tokens stay as they are."]
        case "signing":
            return ["Another key would sign from now on; the private half of the old one would be destroyed."]


def _number(keys: Sequence[KeyStatus], what: str) -> int:
    return len([key for key in keys if key.what == what])
