"""Who a request comes from, behind proxies of one's own. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_WRITTEN = re.compile(
    r"([0-9.]+)(?::[0-9]{1,5})?|\[([0-9A-Fa-f:.]+)(?:%[^]]*)?\](?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)(?:%.*)?", re.ASCII
)
Networks = Sequence[IPv4Network | IPv6Network]


def client_of(peer: str | None, forwarded_for: Sequence[str], trusted: Networks) -> str | None:
    """Return the address of the client: the last one on the way that is none of our proxies.

    Whatever stands before it in X-Forwarded-For anybody may have written there.
    """
    way = [each.strip() for line in forwarded_for for each in line.split(",")]
    client = _address(peer or "")
    while way and client is not None and any(client in network for network in trusted):
        if (before := _address(way.pop())) is None:
            return peer
        client = before
    return str(client) if client is not None else peer


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address that is written with a port, or a zone, or without."""
    match = _WRITTEN.fullmatch(text)
    try:
        address = ip_address(match[1] or match[2] or match[3]) if match else None
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
