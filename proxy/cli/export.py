"""panless audit export, prove, checkpoint: what leaves the database, and can be verified without it."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import click

from proxy.cli.running import config_option, opened, progress_bar, run
from proxy.config import load
from proxy.settings import vault_settings
from vault.errors import AuditEventNotFound
from vault.upkeep import export as exporting
from vault.upkeep.checkpoints import make_checkpoint


@click.command(short_help="Write the log as files that prove themselves, or print it.")
@config_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="A new folder for the export.")
@click.option("--from-checkpoint", "number", type=click.IntRange(1), help="Only what came after this checkpoint.")
def export(config_file: Path, out: Path, number: int | None) -> None:
    """Write what is under a checkpoint to a folder: events.jsonl, checkpoints and, if it begins later, start.json.

    `panless audit verify --export DIR --key FILE` verifies it; so does docs/audit/verify_audit.py, without Panless.
    """
    written = run(_export(config_file, out, number))
    click.echo(f"{written.events} events, leaves {written.begins} to {written.size - 1}, are in {out}.")


async def _export(config_file: Path, out: Path, number: int | None) -> exporting.Exported:
    async with opened(config_file) as database:
        with progress_bar("exporting", quiet=False) as show:
            return await exporting.export(database, out, number=number, progress=show)


@click.command(short_help="Print a proof that an event is in the log.")
@config_option
@click.argument("event")
def prove(config_file: Path, event: str) -> None:
    """Print a proof (C2SP tlog-proof) for EVENT: CHAIN:SEQ, as `panless audit list --json` shows them, or a request id.

    It holds the event and verifies without the log: `panless audit verify --proof FILE --key KEYS`.
    """
    for proof in run(_prove(config_file, event)):
        click.echo(proof, nl=False)


async def _prove(config_file: Path, event: str) -> list[str]:
    async with opened(config_file) as database:
        if (place := _place(event)) is not None:
            places = [place]
        elif not (places := await exporting.events_of_request(database, event)):
            raise AuditEventNotFound(event=event, reason="no event is of that request")
        return [await exporting.prove(database, *each) for each in places]


def _place(event: str) -> tuple[UUID, int] | None:
    chain, _, seq = event.rpartition(":")
    try:
        return UUID(chain), int(seq)
    except ValueError:
        return None


@click.command()
@config_option
def checkpoint(config_file: Path) -> None:
    """Make a checkpoint now, over everything that is in the log, and print it."""
    made = run(_checkpoint(config_file))
    click.echo(made or "The log is empty.", nl=not made)


async def _checkpoint(config_file: Path) -> str | None:
    settings = vault_settings(load(config_file))
    async with opened(config_file) as database:
        made = await make_checkpoint(settings, database)
        return made.note if made else None
