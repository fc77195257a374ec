"""panless reveal: break glass. The one way in which a person sees a value, on a terminal, once."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import click

from proxy.alerts import alert
from proxy.cli.running import config_option, opened, run
from proxy.cli.shares import ask_hidden, open_sealed
from proxy.config import Config, load
from proxy.fetching import fetched_settings
from proxy.guard.masking import mask
from proxy.secrets import LocalSecrets, SecretUnavailable, check_local
from vault.errors import VaultSealed
from vault.exposure import expose
from vault.sensitive import Sensitive
from vault.upkeep.break_glass import BreakGlass, Step
from vault.upkeep.startup import Database, open_keks

SHOWN_SECONDS = 60.0
MOST_REASON = 500
# The alternate screen: what stands on it is in no scroll-back, and is gone when it is left.
_ENTER, _LEAVE = b"\x1b[?1049h\x1b[2J\x1b[H", b"\x1b[H\x1b[2J\x1b[3J\x1b[?1049l"


@click.command(short_help="Break glass: see the value of one token.")
@click.argument("token", required=False)
@config_option
@click.option("--reason", help="Why the value has to be seen; it stands in the audit log.")
@click.option("--approve", type=click.UUID, metavar="ID", help="Agree to what another operator asked for.")
@click.option("--show", type=click.UUID, metavar="ID", help="Show what was asked for and agreed to: once.")
@click.option("--key-from", metavar="env:NAME|file:PATH", help="Where your operator's key is; else it is asked for.")
def reveal(
    token: str | None,
    config_file: Path,
    reason: str | None,
    *,
    approve: UUID | None,
    show: UUID | None,
    key_from: str | None,
) -> None:
    """See the value that TOKEN stands for. It takes two people, and every step is recorded and raises an alert.

    \b
    1. panless reveal TOKEN --reason TEXT   an operator asks; prints an id
    2. panless reveal --approve ID          an approver, another person, agrees
    3. panless reveal --show ID             who asked sees it, on a terminal, once

    It is switched off unless [break_glass] enabled = true. Verification codes are never shown.
    """
    if sum(each is not None for each in (token, approve, show)) != 1:
        raise click.UsageError("Give TOKEN with --reason, or --approve ID, or --show ID.")
    if (token is None) != (reason is None):
        raise click.UsageError("--reason goes with TOKEN.")
    config, key = load(config_file), _key(key_from, config_file)
    if token is not None:
        run(_request(config_file, config, key, token, _checked(reason or "")))
    elif approve is not None:
        run(_approve(config_file, config, key, approve))
    elif show is not None:
        _display(run(_show(config_file, config, key, show)))


async def _request(file: Path, config: Config, key: str, token: str, reason: str) -> None:
    async with opened(file) as database, _glass(database, config) as glass:
        step = await glass.request(key, token, reason)
        await _tell(step, config, database)
    click.echo(str(step.request.id))
    until = f"{step.request.expires_at:%H:%M:%S} UTC"
    click.echo(f"Until {until} another person, an approver, has to agree: panless reveal --approve ID", err=True)


async def _approve(file: Path, config: Config, key: str, request: UUID) -> None:
    async with opened(file) as database, _glass(database, config) as glass:
        step = await glass.approve(key, request)
        await _tell(step, config, database)
    click.echo(f"Agreed: {step.request.requested_by} may see the value of {step.token} once.", err=True)


async def _show(file: Path, config: Config, key: str, request: UUID) -> Sensitive:
    settings = await fetched_settings(config)
    terminal = sys.stdout.isatty() and sys.stdin.isatty()
    async with opened(file) as database, _glass(database, config) as glass, open_keks(settings, database) as keks:
        try:
            step, value = await glass.show(key, request, keks, terminal=terminal)
        except VaultSealed:  # nothing was spent; now it is known that custodians are needed
            await open_sealed(keks)
            step, value = await glass.show(key, request, keks, terminal=terminal)
        await _tell(step, config, database)  # who has to hear of it has heard before anybody sees it
    return value


def _glass(database: Database, config: Config) -> AbstractAsyncContextManager[BreakGlass]:
    settings = config.break_glass
    return BreakGlass.open(database, enabled=settings.enabled, lifetime=timedelta(minutes=settings.minutes))


async def _tell(step: Step, config: Config, database: Database) -> None:
    asked = step.request
    await alert(
        config,
        database,
        step.action,
        operator=step.operator,
        token=step.token,
        tenant=asked.tenant,
        reason=asked.reason,
        request=str(asked.id),
    )


def _checked(reason: str) -> str:
    """Return a reason that can be recorded; raises click.BadParameter."""
    reason = reason.strip()
    if not reason or len(reason) > MOST_REASON or not reason.isprintable():
        raise click.BadParameter(f"give 1 to {MOST_REASON} characters in one line", param_hint="--reason")
    if mask(reason) != reason:
        raise click.BadParameter("it has what looks like a card number, and is kept for ever", param_hint="--reason")
    return reason


def _key(key_from: str | None, config_file: Path) -> str:
    if key_from is None:
        return ask_hidden("Your operator's key").strip()
    try:
        return LocalSecrets(config_file.parent).get(check_local(key_from))
    except SecretUnavailable as error:
        raise click.BadParameter(str(error), param_hint="--key-from") from None
    except ValueError:
        raise click.BadParameter("give env:NAME or file:PATH, never the key itself", param_hint="--key-from") from None


def _display(value: Sensitive) -> None:
    """Write a value to the terminal, and take it off again after Enter or a minute, whatever happens."""
    terminal = sys.stdout.fileno()
    sys.stdout.flush()
    with _other_screen(terminal):
        _write(terminal, expose(value).encode("utf-8", "replace"))
        _write(terminal, b"\r\n\r\nEnter clears the screen; so does a minute.\r\n")
        select.select([sys.stdin], [], [], SHOWN_SECONDS)
    if select.select([sys.stdin], [], [], 0)[0]:
        sys.stdin.readline()


@contextmanager
def _other_screen(terminal: int) -> Iterator[None]:
    _write(terminal, _ENTER)
    try:
        yield
    finally:
        _write(terminal, _LEAVE)


def _write(terminal: int, data: bytes) -> None:
    while data:
        data = data[os.write(terminal, data) :]
