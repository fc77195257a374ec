"""A process that has imported all of Panless, and forks: each command begins where its imports would have ended.

`python -m tests.harness.nursery FD` takes requests on a socket: {"argv", "env", "cwd"} in JSON, with four descriptors:
the command's stdin, stdout and stderr, and one that is told its pid and then its exit status, a line each. It ends when
the socket is closed. It runs nothing of Panless itself, so that a command finds what a new interpreter would have.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module

from proxy.cli.main import _COMMANDS

REQUEST_BYTES = 1 << 18


def prepare() -> None:
    """Import what commands import; collect nothing of it later."""
    for module in {f"proxy.cli.{each.partition('.')[0]}" for each in _COMMANDS.values()} | {"proxy.app"}:
        import_module(module)
    try:
        import_module("uvloop")
    except ImportError:
        return
    finally:
        gc.collect()
        gc.freeze()


class Nursery:
    """Children by their pid, each with the descriptor that is told of its end."""

    def __init__(self, requests: socket.socket) -> None:
        self.requests = requests
        self.woken, self._waking = os.pipe()
        self.children: dict[int, int] = {}
        for end in (self.woken, self._waking):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> list[str] | None:
        """Fork for each request. Returns in each child, with its words, and in the parent when all is over."""
        while True:
            ready, _, _ = select.select([self.requests, self.woken], [], [])
            if self.woken in ready:
                os.read(self.woken, 4096)
                self.reap()
            if self.requests not in ready:
                continue
            request, descriptors, _, _ = socket.recv_fds(self.requests, REQUEST_BYTES, 4)
            if not request:
                return None
            *standard, told = descriptors
            if (pid := os.fork()) == 0:
                return self.become(json.loads(request), standard, told)
            for each in standard:
                os.close(each)
            self.children[pid] = told
            os.write(told, b"%d\n" % pid)

    def reap(self) -> None:
        for pid in list(self.children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                told = self.children.pop(pid)
                with suppress(BrokenPipeError):  # nobody waits for it any more
                    os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
                os.close(told)

    def become(self, request: dict, standard: list[int], told: int) -> list[str]:
        """In the child: leave nothing open that is the nursery's, and take over what the request says."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.requests.close()
        for number, each in enumerate(standard):
            os.dup2(each, number)
        for each in (*standard, told, self.woken, self._waking, *self.children.values()):
            os.close(each)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        return request["argv"]


def main() -> None:
    nursery = Nursery(socket.socket(fileno=int(sys.argv[1])))
    prepare()
    words = nursery.serve()
    if words is not None:
        sys.argv = ["panless", *words]
        runpy.run_module("proxy.cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
