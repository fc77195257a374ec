"""Who asks: finds an application's Panless key in a request, and puts the gateway's secret in its place.

The key is in the header Panless-Key, in the Proxy-Authorization that the request's tunnel was opened with, or where
the gateway's SDK puts its key: `bearer` (Authorization: Bearer KEY) or `basic` (Authorization: Basic, KEY as the user
name).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from multidict import CIMultiDict

KEY_HEADER = "Panless-Key"
KEY_PREFIX = "plk_"
_AUTHORIZATION = "Authorization"


def find_key(headers: CIMultiDict[str], slots: Sequence[str], of_tunnel: str = "") -> str:
    """Return the key that the request carries, or an empty string.

    Panless-Key goes before the key that the tunnel was opened with, and that one before the slots.
    """
    if (given := headers.getall(KEY_HEADER, [])) != []:
        return given[0] if len(given) == 1 else ""
    if of_tunnel:
        return of_tunnel
    scheme, credential = _authorization(headers)
    if scheme == "bearer" and "bearer" in slots:
        return credential
    if scheme == "basic" and "basic" in slots:
        return _basic_user(credential)
    return ""


def proxy_key(values: Sequence[str]) -> str | None:
    """Return the key in Proxy-Authorization: Bearer, or Basic with the key as user name or as password.

    None if there is no such header; an empty string if there is no one key in it.
    """
    if not values:
        return None
    if len(values) > 1:
        return ""
    scheme, _, credential = values[0].partition(" ")
    if scheme.lower() == "bearer":
        return credential.strip()
    user, _, password = _basic(credential.strip()).partition(":") if scheme.lower() == "basic" else ("", "", "")
    return user if user.startswith(KEY_PREFIX) else password


def put_secret(headers: CIMultiDict[str], slots: Sequence[str], secret: str | None) -> None:
    """Take every Panless key out, and put the gateway's secret in: in the slot that was used, or in the first one.

    Panless keys are for Panless, and no gateway may see one, whatever header it stands in.
    """
    scheme, _ = _authorization(headers)
    headers.popall(KEY_HEADER, None)
    if secret is not None:
        # Put in its place, so that the order of the headers stays.
        headers[_AUTHORIZATION] = credential(scheme if scheme in slots else slots[0], secret)
    for name in {name for name, value in headers.items() if holds_key(value)}:
        headers.popall(name, None)


def holds_key(value: str) -> bool:
    """Tell whether a header's value holds a Panless key, plain or as Basic's user name."""
    scheme, _, encoded = value.partition(" ")
    return KEY_PREFIX in value or (scheme.lower() == "basic" and _basic_user(encoded.strip()).startswith(KEY_PREFIX))


def credential(slot: str, secret: str) -> str:
    """Return the Authorization header of a secret."""
    if slot == "basic":
        return "Basic " + base64.b64encode(f"{secret}:".encode()).decode()
    return f"Bearer {secret}"


def _authorization(headers: CIMultiDict[str]) -> tuple[str, str]:
    values = headers.getall(_AUTHORIZATION, [])
    if len(values) != 1:
        return "", ""
    scheme, _, credential = values[0].partition(" ")
    return scheme.lower(), credential.strip()


def _basic_user(credential: str) -> str:
    return _basic(credential).partition(":")[0]


def _basic(credential: str) -> str:
    try:
        return base64.b64decode(credential, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
