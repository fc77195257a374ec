"""Becomes PostgreSQL. Run as a file: `python -I -S launch.py SPEC`.

It gives up root and every privilege, ties its life to its parent's, and replaces itself by the program in
SPEC, a JSON object: `argv`, `cwd`, `parent` (the pid to live as long as), `death_signal`, `reach` (files and
directories the program needs) and, when started as root, `uid` and `gid`. It imports nothing of Panless, so
that root can start it from any place. Its own exit statuses are the constants below.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys

ORPHANED = 120
NO_PRIVILEGE = 121
UNREACHABLE = 122
NOT_EXECUTABLE = 123

# <linux/prctl.h>, <linux/securebits.h>, <linux/capability.h>
PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 28, 38, 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP, SECBIT_NO_SETUID_FIXUP_LOCKED = 4, 8
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522

LINUX = sys.platform == "linux"


class WalledInError(Exception):
    """The user cannot reach what the program needs, and the capability that would help is not to be had."""


def main() -> int:
    """Run SPEC. Returns an exit status only when the program could not be started."""
    spec = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    os.setsid()  # a Ctrl-C in the terminal is for Panless, which then stops PostgreSQL in its own time
    os.chdir(spec["cwd"])
    if "uid" in spec:
        try:
            give_up_root(spec["uid"], spec["gid"], spec["reach"])
        except WalledInError:
            return UNREACHABLE
        except OSError:
            return NO_PRIVILEGE
    if LINUX:
        # After the change of user, which clears it.
        prctl(PR_SET_PDEATHSIG, spec["death_signal"])
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    if os.getppid() != spec["parent"]:
        return ORPHANED  # the parent was gone before the death signal was set
    try:
        os.execv(spec["argv"][0], spec["argv"])  # noqa: S606  # no shell is the point
    except OSError:
        return NOT_EXECUTABLE


def give_up_root(uid: int, gid: int, reach: list[str]) -> None:
    """Become `uid` for good. Raises WalledInError when `reach` is out of reach, OSError when it cannot."""
    os.setgroups([])
    walled_in = not can_reach(uid, gid, reach)
    if walled_in:
        let_capabilities_pass()
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if walled_in:
        keep_only_read_search()


def can_reach(uid: int, gid: int, reach: list[str]) -> bool:
    """Ask the kernel, as that user."""
    os.setegid(gid)
    os.seteuid(uid)
    try:
        return all(os.access(path, os.X_OK if os.path.isdir(path) else os.R_OK, effective_ids=True) for path in reach)
    finally:
        os.seteuid(0)
        os.setegid(0)


def let_capabilities_pass() -> None:
    """Keep capabilities across setuid, and let access(2) honour them, as PostgreSQL looks for files by it."""
    if not LINUX:
        raise WalledInError
    prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED)


def keep_only_read_search() -> None:
    """Drop all capabilities but the one that passes directories and reads; nothing can be written by it."""
    mask = 1 << CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable; low, then high
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
        raise WalledInError
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH)


def prctl(option: int, *arguments: int) -> None:
    """prctl(2). Raises OSError: whatever it refuses, the program must not run without."""
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(ctypes.c_int(option), *padded) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    sys.exit(main())
