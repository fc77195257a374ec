"""Each command finds all that it needs: most tests fork commands from a process in which everything is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from proxy.cli.main import _COMMANDS

ROOT = Path(__file__).parents[3]

# Only what others wrote is there before; each command is looked up in a child of its own.
ALONE = """
import json, os, sys
import aiohttp.web, asyncpg, click, cryptography.x509, jsonpath, prometheus_client, pydantic, rich.table, structlog

assert not [name for name in sys.modules if name.split(".")[0] in ("proxy", "vault")]
failed = []
for name in sys.argv[1:]:
    if (child := os.fork()) == 0:
        from proxy.cli.main import cli

        os._exit(cli.get_command(None, name).name != name)
    if os.waitpid(child, 0)[1]:
        failed.append(name)
print(json.dumps(failed))
"""


def test_every_command_is_found_by_a_process_that_has_imported_nothing_else():
    names = {place.partition(".")[0]: name for name, place in _COMMANDS.items()}.values()  # one of each module
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ALONE, *names]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout or "null")) == (0, []), done.stderr
    assert len(names) >= 15
