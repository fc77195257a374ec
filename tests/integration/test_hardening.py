"""The memory of a running Panless: in no core dump, and not for other processes of the same account."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import configuration
from tests.harness.commands import COMMAND
from tests.harness.process import PanlessProcess, panless, serving

ROOT = Path(__file__).parents[2]
NOBODY = 65534
pytestmark = pytest.mark.usefixtures("own_interpreter")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux (prctl, /proc)")

# Becomes an ordinary user as the last step before Panless hardens itself, then tells and waits.
HARDENED = """
import os, sys
from proxy.cli import hardening
if len(sys.argv) > 1:
    os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
    hardening._prctl(4, 1, "what a start by that user would have been")
{harden}
print("ready", flush=True)
sys.stdin.readline()
"""
READ = """
import os, sys
if len(sys.argv) > 2:
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
for name in ("mem", "environ", "maps", "fd", "exe"):
    path = f"/proc/{sys.argv[1]}/{name}"
    try:
        if name == "fd":
            os.listdir(path)
        elif name == "exe":
            os.readlink(path)
        else:
            open(path, "rb").close()
        print(name, "open")
    except PermissionError:
        print(name, "refused")
"""


def config(folder: Path) -> Path:
    return configuration.write(folder, "http://127.0.0.1:1", "http://127.0.0.1:1")


@on_linux
async def test_serve_and_its_database_dump_no_core_and_gain_no_privileges(tmp_path):
    async with serving(config(tmp_path)) as running:
        postmaster = (tmp_path / "data" / "postgres" / "postmaster.pid").read_text().split()[0]
        for pid in (running.pid, int(postmaster)):
            limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
            (core,) = [line for line in limits if line.startswith("Max core file size")]
            assert core.split()[4:6] == ["0", "0"]
            assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
        # What is not dumpable belongs to root in /proc, whoever runs it.
        assert Path(f"/proc/{running.pid}/environ").stat().st_uid == 0


async def _look(harden: str) -> dict[str, str]:
    """Let an ordinary user run one process, and look into it with another."""
    user = [str(NOBODY)] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HARDENED.format(harden=harden),
        *user,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert await process.stdout.readline() == b"ready\n"
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READ, str(process.pid), *user, stdout=subprocess.PIPE
    )
    out, _ = await reader.communicate()
    await process.communicate(b"\n")
    return dict(line.split() for line in out.decode().splitlines())


@on_linux
async def test_another_process_of_the_same_account_cannot_look_into_memory_or_environment():
    names = ("mem", "environ", "maps", "fd", "exe")
    assert await _look("pass") == dict.fromkeys(names, "open")
    assert await _look("hardening.harden()") == dict.fromkeys(names, "refused")


@on_linux
async def test_every_command_is_hardened_before_it_does_anything(tmp_path):
    """A command that waits for a share has the KEK in its memory soon."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "unseal", "-c", str(config(tmp_path)), stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    try:
        status, limits = Path(f"/proc/{process.pid}/status"), Path(f"/proc/{process.pid}/limits")
        async with asyncio.timeout(30):
            while "NoNewPrivs:\t1" not in status.read_text():
                await asyncio.sleep(0.02)
        assert "Max core file size        0                    0" in limits.read_text()
        assert Path(f"/proc/{process.pid}/environ").stat().st_uid == 0
    finally:
        await process.communicate(b"")
    assert process.returncode == 1


@on_linux
@pytest.mark.parametrize("command", [("app", "list"), ("audit", "verify"), ("ca", "show"), ("migrate",)])
async def test_commands_work_hardened(tmp_path, command):
    assert (await panless(*command, "-c", config(tmp_path))).code == 0


async def test_python_writes_no_stacks_when_it_is_killed(tmp_path):
    running = await PanlessProcess(config(tmp_path), {"PYTHONFAULTHANDLER": "1", "PYTHONDEVMODE": "0"}).start()
    await running.stop(signal.SIGABRT)
    assert "Fatal Python error" not in running.log
    assert "most recent call first" not in running.log
