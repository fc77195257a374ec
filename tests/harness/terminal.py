"""A shell at a real terminal, for commands that ask people or show them something."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import termios
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Terminal:
    """A shell at a terminal of its own, as a person has it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.screen = b""

    async def __aenter__(self) -> Terminal:
        self.master, slave = pty.openpty()

        def control_it() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.home.mkdir()
        self.shell = await asyncio.create_subprocess_exec(
            "/bin/bash",
            "--norc",
            "--noprofile",
            "-i",
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=control_it,
            cwd=ROOT,
            env={**os.environ, "HOME": str(self.home), "HISTFILE": str(self.home / "history"), "PS1": "shell> "},
        )
        os.close(slave)
        os.set_blocking(self.master, False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.shell.returncode is None:
            self.shell.kill()
            await self.shell.wait()
        os.close(self.master)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    async def until(self, text: str, after: int = 0) -> None:
        """Wait for a text on the screen."""
        await self.until_any(text, after=after)

    async def until_any(self, *texts: str, after: int = 0) -> str:
        """Wait for one of some texts on the screen; return it."""
        async with asyncio.timeout(60):
            while True:
                for text in texts:
                    if text.encode() in self.screen[after:]:
                        return text
                try:
                    self.screen += os.read(self.master, 4096)
                except BlockingIOError:
                    await asyncio.sleep(0.02)

    async def leave(self) -> None:
        self.type("exit\n")
        async with asyncio.timeout(60):
            while self.shell.returncode is None:
                try:
                    self.screen += os.read(self.master, 4096)
                except (BlockingIOError, OSError):
                    await asyncio.sleep(0.02)
