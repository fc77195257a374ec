"""No way out: SDKs are run where nothing but this machine can be reached, whatever they make of their settings."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest


def is_loopback(host: object) -> bool:
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:  # a name, which would have to be looked up
        return False


def no_way_out(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Refuse every connection and every look-up of a name that leaves this machine; return which they were."""
    hosts: list[object] = []

    def guard(function: Callable, host_of: Callable) -> Callable:
        def guarded(*arguments, **options):
            host = host_of(*arguments)
            if not is_loopback(host):
                hosts.append(host)
                raise ConnectionRefusedError("no way out")
            return function(*arguments, **options)

        return guarded

    for name in ("connect", "connect_ex"):
        function = getattr(socket.socket, name)
        monkeypatch.setattr(socket.socket, name, guard(function, lambda _socket, address: address[0]))
    monkeypatch.setattr(socket, "getaddrinfo", guard(socket.getaddrinfo, lambda host, *_: host))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return hosts


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port on which no further connection is made: the queue of those that wait to be accepted is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for each in waiting:
                each.close()
