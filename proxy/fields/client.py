"""Who a request comes from, behind proxies of one's own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Networks = Sequence[IPv4Network | IPv6Network]


def client_of(peer: str | None, forwarded_for: Sequence[str], trusted: Networks) -> str | None:
    """Return the address of the client: the last one on the way that is none of our proxies.

    Whatever stands before it in X-Forwarded-For anybody may have written there.
    """
    way = [each.strip() for line in forwarded_for for each in line.split(",")]
    client = peer
    while way and _is_trusted(client, trusted):
        client = way.pop()
        if _address(client) is None:
            return peer
    return client


def _is_trusted(text: str | None, trusted: Networks) -> bool:
    address = _address(text or "")
    return address is not None and any(address in network for network in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
