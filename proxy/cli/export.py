"""panless audit export, prove, checkpoint: what leaves the database, and can be verified without it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

import click

from proxy.cli.running import config_option, opened, progress_bar, run
from proxy.config import load
from proxy.settings import vault_settings
from vault.audit.formats import Format, line_of
from vault.errors import AuditEventNotFound, PanlessError
from vault.upkeep import export as exporting
from vault.upkeep.archive import Archived
from vault.upkeep.archive import archive as archived
from vault.upkeep.checkpoints import make_checkpoint
from vault.upkeep.evidence import Demands, read_keys
from vault.upkeep.history import keys_of_database
from vault.upkeep.startup import Database

FOLLOW_SECONDS = 1.0
_VERSION = version("panless")


@click.command(short_help="Write the log as files that prove themselves, or print it.")
@config_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="A new folder, for files that verify.")
@click.option("--format", "form", type=click.Choice(["jsonl", "cef", "ocsf"]), help="Print events in this format.")
@click.option("--follow", is_flag=True, help="Print, and go on with what comes.")
@click.option("--from-checkpoint", "number", type=click.IntRange(1), help="Only what came after this checkpoint.")
def export(config_file: Path, out: Path | None, form: Format | None, follow: bool, number: int | None) -> None:
    """Write what is under a checkpoint to a folder: events.jsonl, checkpoints and, if it begins later, start.json.

    `panless audit verify --export DIR --key FILE` verifies it; so does docs/audit/verify_audit.py, without Panless.
    Without --out it prints the events, for a collector that reads them from here.
    """
    if out is None:
        with suppress(KeyboardInterrupt, BrokenPipeError):
            run(_print(config_file, form or "jsonl", follow=follow, number=number))
        return
    if form or follow:
        raise click.UsageError("--format and --follow are for printing, without --out.")
    written = run(_export(config_file, out, number))
    click.echo(f"{written.events} events, leaves {written.begins} to {written.size - 1}, are in {out}.")


async def _print(config_file: Path, form: Format, *, follow: bool, number: int | None) -> None:
    async with opened(config_file) as database:
        async for entry in exporting.stream(database, number=number, follow=FOLLOW_SECONDS if follow else None):
            click.echo(line_of(entry, form, _VERSION))


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


@click.command(short_help="Export old events, verify that and, with --prune, delete them.")
@config_option
@click.option(
    "--before", required=True, type=click.DateTime(), help="Everything that was signed before this time (UTC)."
)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="A new folder.")
@click.option("--key", "key_file", type=click.Path(path_type=Path, exists=True), help="The verifier keys, one a line.")
@click.option("--prune", is_flag=True, help="Delete from the database what the archive has.")
def archive(config_file: Path, before: datetime, out: Path, key_file: Path | None, prune: bool) -> None:
    """Write everything up to the last checkpoint before a time to a folder, and verify what was written.

    With --prune it is deleted from the database, as its owner, and event audit.prune says where the log begins now.
    Keep the folder as long as you have to keep the log: it verifies alone, and proofs of its events verify as before.
    """
    keys = read_keys(key_file) if key_file else None
    done = run(_archive(config_file, before.replace(tzinfo=UTC), out, keys, prune=prune))
    last = done.report.size - 1
    click.echo(f"{done.report.events} events, leaves {done.report.begins} to {last}, are in {out} and verify.")
    if prune:
        click.echo(f"{done.pruned} events were deleted from the database; it begins at leaf {done.report.size} now.")


async def _archive(config_file: Path, before: datetime, out: Path, keys: list[str] | None, *, prune: bool) -> Archived:
    config = load(config_file)
    due = [sink.name for sink in config.audit.sink if sink.what == "events"]
    async with opened(config_file) as database:
        demands = Demands(keys or await keys_of_database(database))
        with progress_bar("archiving", quiet=False) as show:
            done = await archived(database, out, before, demands, prune=prune, due=due, progress=show)
        if prune:
            await _sign_pruning(config_file, database)
        return done


async def _sign_pruning(config_file: Path, database: Database) -> None:
    try:
        await make_checkpoint(vault_settings(load(config_file)), database)
    except PanlessError as error:
        click.echo(f"No checkpoint covers the pruning yet ({error.code}); a running Panless makes one.", err=True)
