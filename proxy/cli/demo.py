"""panless demo: the whole story on one machine."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from proxy.cli.running import FAILED, run
from proxy.cli.story import Story
from proxy.edge import log
from proxy.sandbox.parts import Parts, running


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
            console.print(_urls(parts))
            console.print("Running. Ctrl-C stops it.")
            await _interrupted()
        return story.broken
    finally:
        await parts_running.__aexit__(None, None, None)


def _urls(parts: Parts) -> Table:
    table = Table(title="Try it yourself", title_justify="left", show_header=False)
    for name, url in parts.panless.urls.items():
        table.add_row(name, url)
    table.add_row("shop", parts.shop_url)
    table.add_row("gateway", parts.gateway_url)
    table.add_row("the shop's key", parts.shop_key)
    table.add_row("configuration", str(parts.config.file))
    table.add_row("audit log", f"panless audit list --config {parts.config.file}")
    return table


async def _interrupted() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
