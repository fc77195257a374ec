"""`panless serve` with several workers: what the supervisor does, and what each of them does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import click
import structlog

from proxy.app import Panless
from proxy.cli.exits import FAILED
from proxy.cli.running import run
from proxy.workers.forking import Birth, split
from proxy.workers.slot import WorkerRefusedError
from proxy.workers.supervising import Supervisor
from proxy.workers.worker import Worker
from vault.errors import PanlessError


def serve_with_workers(file: Path, text: str, count: int, ready: Callable[[dict[str, str]], None]) -> int:
    """Serve until SIGTERM; return the exit code. Raises a PanlessError, in a worker that cannot start, too."""
    part = split()
    if isinstance(part, Birth):
        return _work(part, file)
    try:
        run(_supervise(Supervisor(file, text, part, count), ready))
    except WorkerRefusedError as refused:  # it has said why
        return refused.code
    finally:
        part.close()
    return 0


async def _supervise(supervisor: Supervisor, ready: Callable[[dict[str, str]], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
    running = asyncio.create_task(_run(supervisor, ready))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        running.cancel()
        stopping.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await supervisor.stop()


async def _run(supervisor: Supervisor, ready: Callable[[dict[str, str]], None]) -> None:
    await supervisor.start()
    ready(supervisor.urls)
    await supervisor.ended()


def _work(birth: Birth, file: Path) -> int:
    """Be a worker. One that cannot start at first says why, as a Panless without workers does."""
    try:
        run(Worker(birth, file, Panless).run())
    except PanlessError as error:
        if not birth.restarted:
            raise
        structlog.get_logger().error("worker_not_started", code=error.code, detail=error.detail, worker=birth.number)
        return FAILED
    except ConnectionError:  # the supervisor is gone
        return FAILED
    return 0


def told(urls: dict[str, str]) -> None:
    """Say that every listener accepts."""
    click.echo("ready " + " ".join(f"{name}={url}" for name, url in urls.items()))
