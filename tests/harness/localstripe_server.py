"""The program that `tests.harness.localstripe` runs: localstripe on one free port of 127.0.0.1, from scratch.

It is a process of its own and never imported: localstripe is GPL, and nothing of it becomes part of Panless. Its own
command listens on all interfaces and keeps every card number in /tmp; this one does neither.
"""

from __future__ import annotations

import socket

from aiohttp import web
from localstripe.resources import Store
from localstripe.server import app


def main() -> None:
    Store.dump_to_disk = lambda _store: None
    listener = socket.create_server(("127.0.0.1", 0))
    print("ready", listener.getsockname()[1], flush=True)  # connections wait in its queue from here on
    web.run_app(app, sock=listener, print=None, access_log=None)


if __name__ == "__main__":
    main()
