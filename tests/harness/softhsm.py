"""SoftHSM2: a real PKCS #11 token in files. `python -m tests.harness.softhsm` gets it into build/, if it is not there.

It comes from Debian's packages, which are unpacked, not installed: that needs no root, and changes nothing else.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

UNPACKED = Path(__file__).parents[2] / "build" / "softhsm"
PACKAGES = ("libsofthsm2", "softhsm2")
LIBRARY_PLACES = (f"usr/lib/{platform.machine()}-linux-gnu/softhsm", "usr/lib/softhsm", "usr/lib64/softhsm")
LEFT_OUT = (
    "the tests of key provider pkcs11 are left out: there is no SoftHSM2. Get it with `make softhsm` (on Debian or "
    "Ubuntu), or install the package softhsm2."
)


def find() -> tuple[Path, Path] | None:
    """Return the library and softhsm2-util, if they are there."""
    for root in (Path("/"), UNPACKED):
        for place in LIBRARY_PLACES:
            library, tool = root / place / "libsofthsm2.so", root / "usr/bin/softhsm2-util"
            if library.exists() and tool.exists():
                return library, tool
    return None


def left_out() -> bool:
    """Whether the tests cannot run; says so in pytest's summary."""
    if find() is None:
        warnings.warn(LEFT_OUT, stacklevel=2)
        return True
    return False


def get() -> None:
    """Download and unpack; raises OSError or CalledProcessError."""
    shutil.rmtree(UNPACKED, ignore_errors=True)
    UNPACKED.mkdir(parents=True)
    try:
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=UNPACKED, check=True, capture_output=True)
    except subprocess.CalledProcessError:  # no lists of packages: fetch them, too, to a place of our own
        lists, cache = UNPACKED / "lists", UNPACKED / "cache"
        for folder in (lists / "partial", cache / "archives" / "partial"):
            folder.mkdir(parents=True)
        own = ["-o", f"Dir::State::lists={lists}/", "-o", f"Dir::Cache={cache}/", "-o", "APT::Sandbox::User="]
        subprocess.run(["apt-get", *own, "update"], cwd=UNPACKED, check=True, capture_output=True)
        subprocess.run(["apt-get", *own, "download", *PACKAGES], cwd=UNPACKED, check=True, capture_output=True)
        shutil.rmtree(lists)
    for package in UNPACKED.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, UNPACKED], check=True)


@dataclass
class SoftHsm:
    """Tokens in a folder. What an administrator does is done in processes of their own."""

    folder: Path

    def __post_init__(self) -> None:
        found = find()
        assert found is not None
        self.library, self.tool = found
        self.tokens.mkdir(exist_ok=True)
        self.config.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens"

    @property
    def config(self) -> Path:
        return self.folder / "softhsm2.conf"

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {"SOFTHSM2_CONF": str(self.config), "PYTHONPATH": str(Path(__file__).parents[2])}

    async def new_token(self, label: str, pin: str) -> Path:
        """Return the folder of a new token."""
        before = set(self.tokens.iterdir())
        names = ("--label", label, "--so-pin", "12345678", "--pin", pin)
        await self._run(self.tool, "--module", self.library, "--init-token", "--free", *names)
        (made,) = set(self.tokens.iterdir()) - before
        return made

    async def administer(self, label: str, pin: str, program: str) -> str:
        """Run a program with a `session` that may write; return what it prints."""
        lines = (
            "import pkcs11",
            "from pkcs11 import *",
            "from pkcs11.exceptions import *",
            f"token = pkcs11.lib({str(self.library)!r}).get_token(token_label={label!r})",
            f"session = token.open(rw=True, user_pin={pin!r})",
        )
        return await self._run(sys.executable, "-c", "\n".join([*lines, program]))

    async def program(self, program: str, *arguments: object) -> asyncio.subprocess.Process:
        """Start a program of Python."""
        pipe = asyncio.subprocess.PIPE
        words = [str(each) for each in (sys.executable, "-c", program, *arguments)]
        return await asyncio.create_subprocess_exec(*words, env=self.env, stdout=pipe, stdin=pipe)

    async def _run(self, *command: object) -> str:
        process = await asyncio.create_subprocess_exec(
            *map(str, command), env=self.env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, out.decode()
        return out.decode()


if __name__ == "__main__":
    if find() is None:
        print("getting SoftHSM2 ...")
        try:
            get()
        except (OSError, subprocess.CalledProcessError):
            shutil.rmtree(UNPACKED, ignore_errors=True)
    if find() is None:
        print(LEFT_OUT, file=sys.stderr)
