"""What processes use: CPU time, memory, cores. Linux; read of /proc and of the processes' own CPU clocks."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
MEASURED = frozenset(CORES[:1])
OTHERS = frozenset(CORES[1:]) or MEASURED
ALL = frozenset(CORES)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third one (state) on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with suppress(OSError):
                children.setdefault(int(_stat(int(each.name))[1]), []).append(int(each.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, ())
    return found


def is_postgres(pid: int) -> bool:
    """Whether it is the database's: PostgreSQL is a child of the Panless that runs it."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
    return False


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of these processes, all of their threads, and of children that they had."""
    return sum(map(_cpu_seconds, pids))


def _cpu_seconds(pid: int) -> float:
    try:
        # The kernel's clock of a process (clock_getcpuclockid): nanoseconds, where /proc/PID/stat has ticks.
        own = time.clock_gettime((~pid << 3) | 2)
        fields = _stat(pid)
    except OSError:  # it has ended; its parent has its time
        return 0
    return own + (int(fields[13]) + int(fields[14])) / TICK


def resident_mb(pids: Iterable[int], kind: str = "VmRSS") -> float:
    """Resident memory, of a kind that /proc/PID/status knows (VmRSS, RssAnon), in MB (10^6 bytes)."""
    kilobytes = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            kilobytes += next((int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")), 0)
    return kilobytes * 1024 / 1e6


def busy_seconds(cores: Collection[int]) -> float:
    """For how long cores have been busy, whoever it was; what a hypervisor took away counts."""
    names = {f"cpu{core}" for core in cores}
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    # user nice system idle iowait irq softirq steal
    return sum(sum(int(words[i]) for i in (1, 2, 3, 6, 7, 8)) for words in lines if words and words[0] in names) / TICK


def pin(pids: Iterable[int], cores: Collection[int]) -> None:
    """Keep all threads of processes on these cores; what they start later inherits that."""
    for pid in pids:
        with suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    os.sched_setaffinity(int(thread.name), cores)


@contextmanager
def everywhere() -> Iterator[None]:
    """What is started meanwhile has all cores, and so has this process."""
    pin([os.getpid()], ALL)
    try:
        yield
    finally:
        pin([os.getpid()], OTHERS)


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]
