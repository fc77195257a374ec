"""Who asks: finds an application's Panless key in a request, and puts the gateway's secret in its place.

The key is in the header Panless-Key, in the Proxy-Authorization that the request's tunnel was opened with, or where the
gateway's SDK puts its key. Such a slot is `bearer` (Authorization:
Bearer KEY), `basic` (KEY as the user name), `basic-password`, or `header:NAME`; slots in the query and the body are
fields of the route, and are not handled here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from multidict import CIMultiDict

from proxy.edge.exchange import Exchange
from proxy.rewrite.fields import KEY_PREFIX, KEY_PREFIXES, STAND_IN

KEY_HEADER = "Panless-Key"
AUTHORIZATION = "Authorization"
BEARER, BASIC, BASIC_PASSWORD, HEADER = "bearer", "basic", "basic-password", "header:"


def find_key(headers: CIMultiDict[str], slots: Sequence[str], of_tunnel: str = "") -> str:
    """Return the key that the request carries, or an empty string.

    Panless-Key goes before the key that the tunnel was opened with, and that one before the slots. Without one, what
    stands in the first slot that is filled is returned: it is no key, and recorded as that.
    """
    if (given := headers.getall(KEY_HEADER, [])) != []:
        return given[0] if len(given) == 1 else ""
    if of_tunnel:
        return of_tunnel
    found = [credential for slot in slots if (credential := _read(headers, slot))]
    return next((each for each in found if each.startswith(KEY_PREFIX)), found[0] if found else "")


def certificate_for(headers: CIMultiDict[str], exchange: Exchange) -> bytes | None:
    """Return the client certificate that may identify the application: a Panless-Key, right or not, goes before it."""
    return None if KEY_HEADER in headers or exchange.key else exchange.certificate


def proxy_key(values: Sequence[str]) -> str | None:
    """Return the key in Proxy-Authorization: Bearer, or Basic with the key as user name or as password.

    None if there is no such header; an empty string if there is no one key in it.
    """
    if not values:
        return None
    if len(values) > 1:
        return ""
    scheme, _, given = values[0].partition(" ")
    if scheme.lower() == BEARER:
        return given.strip()
    user, password = _basic(values[0])
    return user if user.startswith(KEY_PREFIX) else password


def find_slot(headers: CIMultiDict[str], slots: Sequence[str]) -> str | None:
    """Return the first slot in which something stands."""
    return next((slot for slot in slots if _read(headers, slot)), None)


def put_secret(headers: CIMultiDict[str], slots: Sequence[str], secret: str | None, *, always: bool = False) -> None:
    """Take every Panless key out, and put the gateway's secret in: in the slot with the key, or in the first empty one.

    What else an application put into a slot stays, unless `always` says that the secret goes over it. Panless keys are
    for Panless, and no gateway may see one, whatever header it stands in.
    """
    headers.popall(KEY_HEADER, None)
    if secret is not None and slots:
        slot: str | None = slots[0]
        if filled := [each for each in slots if _name(each) in headers]:
            slot = next((each for each in filled if _read(headers, each).startswith(KEY_PREFIX)), None)
            if slot is None and always:
                slot = next((each for each in filled if _read(headers, each)), slots[0])
        if slot is not None:
            # Put in its place, so that the order of the headers stays.
            headers[_name(slot)] = credential(slot, secret, headers.get(_name(slot), ""))
    for name in [name for name, value in headers.items() if holds_key(value)]:
        headers.popall(name, None)


def keep_place(headers: CIMultiDict[str], slots: Sequence[str]) -> None:
    """Take every Panless key out of a request that is kept; a stand-in tells in which slot the secret will go."""
    slot = next((each for each in slots if _read(headers, each).startswith(KEY_PREFIX)), None)
    before = headers.get(_name(slot), "") if slot is not None else ""
    put_secret(headers, slots, None)
    if slot is not None:
        headers[_name(slot)] = credential(slot, STAND_IN, before)


def holds_key(value: str) -> bool:
    """Tell whether a header's value holds a Panless key, plain or in Basic."""
    if value[:5].lower() != BASIC:
        return KEY_PREFIXES[0] in value or KEY_PREFIXES[1] in value
    return any(prefix in part for part in (value, *_basic(value)) for prefix in KEY_PREFIXES)


def credential(slot: str, secret: str, before: str = "") -> str:
    """Return the value of a slot's header with a secret; `before` is what stood there."""
    if slot == BASIC:
        return _encoded(secret if ":" in secret else f"{secret}:")
    if slot == BASIC_PASSWORD:
        return _encoded(f"{_basic(before)[0]}:{secret}")
    return f"Bearer {secret}" if slot == BEARER else secret


def _name(slot: str) -> str:
    return slot.removeprefix(HEADER) if slot.startswith(HEADER) else AUTHORIZATION


def _read(headers: CIMultiDict[str], slot: str) -> str:
    values = headers.getall(_name(slot), [])
    if len(values) != 1:
        return ""
    scheme, _, given = values[0].partition(" ")
    if slot == BEARER:
        return given.strip() if scheme.lower() == BEARER else ""
    if slot in (BASIC, BASIC_PASSWORD):
        return _basic(values[0])[slot == BASIC_PASSWORD]
    return values[0].strip()


def _basic(value: str) -> tuple[str, str]:
    """Return user name and password of an Authorization header's value; both are empty if it is not Basic."""
    scheme, _, given = value.partition(" ")
    if scheme.lower() != BASIC:
        return "", ""
    try:
        user, _, password = base64.b64decode(given.strip(), validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    return user, password


def _encoded(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()
