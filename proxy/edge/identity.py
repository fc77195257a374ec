"""Who asks: finds an application's Panless key in a request, and puts the gateway's secret in its place.

The key is in the header Panless-Key, or where the gateway's SDK puts its key: `bearer` (Authorization: Bearer KEY) or
`basic` (Authorization: Basic, KEY as the user name).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from multidict import CIMultiDict

KEY_HEADER = "Panless-Key"
_AUTHORIZATION = "Authorization"


def find_key(headers: CIMultiDict[str], slots: Sequence[str]) -> str:
    """Return the key that the request carries, or an empty string. Panless-Key goes before the slots."""
    if (given := headers.getall(KEY_HEADER, [])) != []:
        return given[0] if len(given) == 1 else ""
    scheme, credential = _authorization(headers)
    if scheme == "bearer" and "bearer" in slots:
        return credential
    if scheme == "basic" and "basic" in slots:
        return _basic_user(credential)
    return ""


def put_secret(headers: CIMultiDict[str], slots: Sequence[str], secret: str | None) -> None:
    """Take the Panless key out, and put the gateway's secret in: in the slot that was used, or in the first one.

    Without a secret, a key in a slot is removed: it is meant for Panless and no gateway may see it.
    """
    in_slot = KEY_HEADER not in headers
    headers.popall(KEY_HEADER, None)
    scheme, _ = _authorization(headers)
    if secret is None:
        if in_slot:
            headers.popall(_AUTHORIZATION, None)
        return
    slot = scheme if scheme in slots else slots[0]
    value = f"Bearer {secret}"
    if slot == "basic":
        value = "Basic " + base64.b64encode(f"{secret}:".encode()).decode()
    headers[_AUTHORIZATION] = value


def _authorization(headers: CIMultiDict[str]) -> tuple[str, str]:
    values = headers.getall(_AUTHORIZATION, [])
    if len(values) != 1:
        return "", ""
    scheme, _, credential = values[0].partition(" ")
    return scheme.lower(), credential.strip()


def _basic_user(credential: str) -> str:
    try:
        return base64.b64decode(credential, validate=True).decode("ascii").partition(":")[0]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
