"""The ports of all workers, reserved before any of them starts.

The supervisor binds each address and never listens on it: the kernel sends connections only to workers, each of which
listens on a socket of its own (SO_REUSEPORT). An address is taken alone and shared afterwards, so that one in use by
somebody else is refused, even if they would share it.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

from proxy.config import Config, ListenerConfig
from proxy.edge.listener import unavailable
from proxy.workers.place import own_key


class Reserved:
    """`ports`: by the keys of listeners, as workers are told."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self._sockets: list[socket.socket] = []

    def reserve(self, config: Config) -> None:
        """Reserve the address of every listener; raises AddressUnavailable."""
        for key, name, listener in _listeners(config):
            try:
                self.ports[key] = self._bind(listener)
            except OSError as error:
                raise unavailable(name, listener, error) from None

    def close(self) -> None:
        """Give all of them back."""
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def _bind(self, listener: ListenerConfig) -> int:
        port = listener.port
        found = socket.getaddrinfo(listener.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            bound = socket.socket(family, kind, protocol)
            self._sockets.append(bound)
            port = _bind_alone(bound, (address[0], port, *address[2:]))
        return port


def _bind_alone(bound: socket.socket, address: tuple[object, ...]) -> int:
    if bound.family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    # For the time of binding only: connections of an earlier Panless that still time out are no obstacle, but who
    # binds after us is to find the address in use.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform != "linux":  # elsewhere it has to be said before
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(address)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return int(bound.getsockname()[1])


def _listeners(config: Config) -> Iterator[tuple[str, str, ListenerConfig]]:
    for name, listener in config.listen:
        if listener is not None:
            yield name, name, listener
    for route in config.outbound:
        if route.listener is not None:
            yield own_key(route.name), route.name, route.listener
