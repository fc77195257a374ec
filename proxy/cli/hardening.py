"""What keeps keys and cards in memory from being read by others: see docs/keys/memory.md."""

from __future__ import annotations

import ctypes
import faulthandler
import resource
import sys

from proxy.errors import ProcessNotHardened

# <linux/prctl.h>
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38


def harden() -> None:
    """Protect this process, before anything secret is in its memory; raises ProcessNotHardened.

    No core dumps; no debugger and no look into /proc/PID/mem by another process of the same account; no privileges by
    starting programs; no dumps of stacks by Python.
    """
    faulthandler.disable()
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        raise ProcessNotHardened(step="RLIMIT_CORE") from None
    if sys.platform == "linux":
        _prctl(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE")
        _prctl(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS")


def _prctl(option: int, value: int, name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_ulong(each) for each in (value, 0, 0, 0)]
    if libc.prctl(ctypes.c_int(option), *arguments) != 0:
        raise ProcessNotHardened(step=name)
