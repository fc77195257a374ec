"""A real browser: Debian's Chromium, which may reach this machine only; and what it saw, to be searched."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Frame, Page, Request, async_playwright

LEFT_OUT = "THE BROWSER TESTS WERE LEFT OUT: there is no Chromium. Get it with: apt-get install chromium"
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
# In every document: what its policy forbade. In the page on top: every message that it was sent.
_WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error("policy violated:", event.effectiveDirective, event.blockedURI));
if (window.top === window) {
  window.messages = [];
  addEventListener("message", (event) => window.messages.push(JSON.stringify(event.data)), true);
}
"""


def executable() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def running_as_root() -> bool:
    """Then Chromium does not start with its sandbox."""
    return sys.platform == "linux" and os.geteuid() == 0


def left_out() -> bool:
    """Whether the tests cannot run; says so in pytest's summary."""
    if executable() is None:
        warnings.warn(LEFT_OUT, stacklevel=2)
        return True
    return False


@dataclass
class Witness:
    """What a context's pages wrote to the console, asked for and were answered."""

    context: BrowserContext
    console: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def watch(self) -> None:
        self.context.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        self.context.on("weberror", lambda error: self.console.append(f"uncaught: {error.error}"))
        self.context.on("request", lambda request: self.requests.append(request))  # noqa: PLW0108 - Playwright marks it

    def forget(self) -> None:
        self.console.clear()
        self.requests.clear()

    @property
    def complaints(self) -> list[str]:
        """Violations of a policy and uncaught errors; the browser writes both to the console."""
        words = ("policy violated", "Content Security Policy", "Trusted", "uncaught", "Unrecognized feature", "error:")
        return [line for line in self.console if any(word in line for word in words)]

    @property
    def strangers(self) -> list[str]:
        """What was asked of other machines than this one."""
        known = ("127.0.0.1", "localhost", None)
        return [request.url for request in self.requests if urlsplit(request.url).hostname not in known]

    def asked_by(self, origin: str) -> str:
        """Everything that documents of an origin asked for, with bodies and headers."""
        lines = []
        for request in self.requests:
            try:
                from_page = request.frame.url.startswith(origin)
            except Exception:  # noqa: BLE001 - Playwright has no class for a request without a frame
                from_page = True
            if from_page or request.url.startswith(origin):
                lines.append(f"{request.method} {request.url} {request.headers} {request.post_data}")
        return "\n".join(lines)


async def seen_by(page: Page, witness: Witness, origin: str) -> str:
    """All that the shop's page and its server's side of the browser ever held."""
    held = await page.evaluate(
        "() => [document.documentElement.outerHTML, JSON.stringify(localStorage), JSON.stringify(sessionStorage),"
        " document.cookie, location.href, ...window.messages,"
        " ...[...document.querySelectorAll('input')].map((input) => input.value)].join('\\n')"
    )
    return "\n".join([held, *witness.console, witness.asked_by(origin)])


def frame_of(page: Page, field_type: str, nth: int = 0) -> Frame:
    """The frame of a field that is mounted in a page."""
    frames = [frame for frame in page.frames if f"field={field_type}&" in frame.url]
    return frames[nth]


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    root = ["--no-sandbox"] if running_as_root() else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=[*ARGUMENTS, *root])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def watched(browser: Browser, **options) -> AsyncIterator[Witness]:
    """A context of its own, watched from the start."""
    context = await browser.new_context(**options)
    context.set_default_timeout(10_000)
    await context.add_init_script(_WATCH)
    witness = Witness(context)
    witness.watch()
    try:
        yield witness
    finally:
        await context.close()


if __name__ == "__main__" and executable() is None:
    print(f"\n{'*' * len(LEFT_OUT)}\n{LEFT_OUT}\n{'*' * len(LEFT_OUT)}", file=sys.stderr)
