"""Each import contract is seen to fail on a planted violation, and a stray module is noticed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# (contract, file, line planted at its end)
VIOLATIONS = [
    ("vault-layers", "vault/crypto/aead.py", "from vault.store import batch"),
    ("vault-layers", "vault/keys/file.py", "from vault.store import batch"),
    ("proxy-layers", "proxy/rewrite/form.py", "from proxy.edge import headers"),
    ("proxy-layers", "proxy/inbound.py", "from proxy import outbound"),
    ("proxy-layers", "proxy/sinks/file.py", "from proxy import inbound"),
    ("vault-layers", "vault/feed.py", "from vault import checkpointing"),
    ("vault-knows-no-proxy", "vault/service.py", "from proxy.guard import masking"),
    ("proxy-knows-no-keys", "proxy/outbound.py", "from vault.keys import keyring"),
    ("proxy-knows-no-keys", "proxy/outbound.py", "from vault.crypto import aead"),
    ("proxy-knows-no-keys", "proxy/app.py", "from vault.store import database"),
    ("pure", "proxy/rewrite/plan.py", "import asyncio"),
    ("pure", "proxy/guard/masking.py", "import structlog"),
    ("pure", "proxy/signing/digests.py", "import aiohttp"),
    ("outgoing-layers", "proxy/outgoing/order.py", "from proxy.outgoing import sending"),
    ("proxy-layers", "proxy/outgoing/sending.py", "from proxy import operations"),
    ("asyncpg", "proxy/operations/worker.py", "import asyncpg"),
    ("asyncpg", "proxy/state/operations.py", "import asyncpg"),
    ("proxy-knows-no-keys", "proxy/state/operations.py", "from vault.store import database"),
    ("proxy-layers", "proxy/signing/digests.py", "from proxy.guard import masking"),
    ("pure", "proxy/verifying/stripe.py", "import aiohttp"),
    ("proxy-layers", "proxy/verifying/stripe.py", "from proxy import config"),
    ("cryptography", "vault/signatures.py", "import cryptography"),
    ("pure", "proxy/routes.py", "import aiohttp"),
    ("pure", "proxy/hosts.py", "import socket"),
    ("pure", "vault/audit/chain.py", "import asyncpg"),
    ("pure", "vault/policy.py", "import socket"),
    ("vault-knows-no-http", "vault/service.py", "import aiohttp"),
    ("vault-knows-no-http", "vault/keys/file.py", "import aiohttp"),
    ("vault-knows-no-http", "vault/keys/transit/provider.py", "import aiohttp"),
    ("cryptography", "vault/service.py", "import cryptography"),
    ("cryptography", "vault/authority.py", "from cryptography import x509"),
    ("vault-layers", "vault/authority.py", "from vault import service"),
    ("cryptography", "vault/unsealing.py", "import shamir_mnemonic"),
    ("cryptography", "vault/upkeep/ceremony.py", "import pyrage"),
    ("vault-layers", "vault/service.py", "from vault import unsealing"),
    ("proxy-layers", "proxy/control.py", "from proxy import admin"),
    ("cryptography", "proxy/inbound.py", "from cryptography import x509"),
    ("asyncpg", "vault/upkeep/apps.py", "import asyncpg"),
    ("asyncpg", "proxy/app.py", "import asyncpg"),
    ("asyncpg", "vault/authority.py", "import asyncpg"),
    ("exposure", "proxy/inbound.py", "from vault.exposure import expose"),
    ("exposure", "vault/store/records.py", "from vault.exposure import expose"),
    ("vault-layers", "vault/helpers.py", "x = 1"),
    ("proxy-layers", "proxy/utils.py", "x = 1"),
]


# The linter for one contract after the other: most of what it costs is that it is started.
LINTER = """
import contextlib, io, json, sys
from importlinter.cli import lint_imports
for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = lint_imports(limit_to_contracts=(line.strip(),), no_logo=True)
    print(json.dumps([code, out.getvalue()]), flush=True)
"""
Lint = Callable[[str], tuple[int, str]]


@pytest.fixture(scope="module")
def lint(copy: Path) -> Iterator[Lint]:
    """Check one contract of the copy; returns the exit code of `lint-imports` and what it printed."""
    command = [sys.executable, "-c", LINTER]
    with subprocess.Popen(command, cwd=copy, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as linter:

        def check(contract: str) -> tuple[int, str]:
            linter.stdin.write(contract + "\n")
            linter.stdin.flush()
            code, out = json.loads(linter.stdout.readline())
            return code, out

        yield check
        linter.stdin.close()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for name in ("vault", "proxy"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize("contract", sorted({contract for contract, _, _ in VIOLATIONS}))
def test_contract_is_kept(lint, contract):
    code, out = lint(contract)
    assert code == 0, out
    assert "1 kept, 0 broken" in out


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_planted_violation_breaks_the_contract(lint, copy, contract, file, line):
    path = copy / file
    before = path.read_text() if path.exists() else None
    path.write_text((before or "") + f"\n{line}\n")
    try:
        code, out = lint(contract)
        assert code == 1, out
        assert "0 kept, 1 broken" in out
    finally:
        path.unlink() if before is None else path.write_text(before)


def test_every_contract_has_a_violation():
    import tomllib

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["id"] for contract in contracts} == {contract for contract, _, _ in VIOLATIONS}
