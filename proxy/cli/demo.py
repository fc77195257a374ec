"""panless demo: the whole story on one machine."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import click
from rich.console import Console

from proxy.cli.exits import FAILED
from proxy.cli.running import run
from proxy.cli.story import Story
from proxy.edge import log
from proxy.sandbox.parts import Parts, running

# `make demo` does not put the command on PATH.
VENV_COMMAND = Path(sys.executable).with_name("panless")


@click.command()
@click.option("--once", is_flag=True, help="Tell the story once and exit: 0, or 1 if any of it is not as promised.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path(".panless-demo"),
    show_default=True,
    help="Where the demo keeps its database and keys; safe to delete.",
)
def demo(once: bool, data_dir: Path) -> None:
    """Show what Panless does, with a sandbox gateway and a demo shop, then stay up until Ctrl-C.

    Everything runs on loopback, with test cards only.
    """
    log.configure("WARNING")
    if broken := run(_demo(once, data_dir.absolute())):
        click.echo(f"Not as promised: {'; '.join(broken)}", err=True)
        raise click.exceptions.Exit(FAILED)


async def _demo(once: bool, data_dir: Path) -> list[str]:
    console = Console(highlight=False)
    with console.status("starting PostgreSQL, gateway, shop and Panless ..."):
        parts_running = running(data_dir)
        parts = await parts_running.__aenter__()
    try:
        story = Story(parts, console)
        await story.tell()
        if not once:
            click.echo(_try_it(parts))
            await _interrupted()
        return story.broken
    finally:
        await parts_running.__aexit__(None, None, None)


def _try_it(parts: Parts) -> str:
    """Return lines that can be pasted into another terminal; nothing in them is wrapped or cut."""
    urls = parts.panless.urls
    command = Path(sys.argv[0]) if Path(sys.argv[0]).name == "panless" else VENV_COMMAND
    json_type = "-H 'Content-Type: application/json'"
    order = '{"order":"A-2","amount":500,"card":{"number":"5555555555554444","cvc":"123"}}'
    charge = '{"amount":500,"currency":"eur","card":{"number":"tok_..."}}'
    key = f"-H 'Panless-Key: {parts.shop_key}'"
    return f"""
Open the shop in a browser, and pay with a test card:

{parts.shop_url}

Try it yourself, from another terminal:

curl {urls["inbound"]}/checkout {json_type} -d '{order}'

curl {urls["outbound"]}/gateway/v1/charges {key} {json_type} -d '{charge}'

{command} audit list --config '{parts.config.file}'

health  {urls["admin"]}/readyz
metrics {urls["admin"]}/metrics
gateway {parts.gateway_url}

Running. Ctrl-C stops it.
"""


async def _interrupted() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
