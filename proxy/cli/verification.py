"""panless audit verify: of the database, of an export, of one event's proof."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from proxy.cli.running import FAILED, json_option, opened, progress_bar, run
from vault.audit.findings import Finding
from vault.upkeep.evidence import Demands, Report, read_keys, verify_export, verify_proof
from vault.upkeep.history import keys_of_database, verify_history

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_WARNING = (
    "The keys come from the database: they prove nothing against whoever can write to it. Give --key FILE, with what "
    "`panless keys public` printed when it was trusted."
)


@click.command(short_help="Prove that nothing was changed, or say what was.")
@click.option("--config", "-c", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Of the database.")
@click.option("--export", "folder", type=_FOLDER, help="Verify this export; no configuration is needed.")
@click.option("--proof", type=_FILE, help="Verify that one event is in the log.")
@click.option("--key", "key_file", type=_FILE, help="The verifier keys, one a line (panless keys public).")
@click.option("--anchor", "anchors", type=_FILE, multiple=True, help="Checkpoints from outside the database.")
@click.option("--from-checkpoint", "number", type=click.IntRange(1), help="Only what came after this checkpoint.")
@click.option("--newer-than", type=click.DateTime(), help="The newest checkpoint must not be older (UTC).")
@json_option
def verify(  # noqa: PLR0917  # click gives them by name
    config_file: Path | None,
    folder: Path | None,
    proof: Path | None,
    key_file: Path | None,
    anchors: tuple[Path, ...],
    number: int | None,
    newer_than: datetime | None,
    as_json: bool,
) -> None:
    """Verify the audit log; exit with 1 and say what is wrong where, if anything is.

    Of the database (--config), of an export (--export, --key) or of one event (--proof, --key). What was changed,
    removed, reordered or inserted is found by the log itself. That the end was cut off, that an old backup is in its
    place, or that there are two histories, only checkpoints from outside the database show: --anchor, --newer-than.

    \b
      panless audit verify --config FILE --key KEYS --anchor CHECKPOINTS
      panless audit verify --export DIR --key KEYS
    """
    if [config_file, folder, proof].count(None) != 2:
        raise click.UsageError("Give one of --config, --export and --proof.")
    if config_file is None and key_file is None:
        raise click.UsageError("Give --key: the keys that the checkpoints were signed with.")
    keys = read_keys(key_file) if key_file else []
    if proof is not None:
        _tell_proof(proof, keys, as_json=as_json)
        return
    demands = Demands(keys, anchors, newer_than.replace(tzinfo=UTC) if newer_than else None)
    if folder is not None:
        with progress_bar("verifying", quiet=as_json) as show:
            _tell(verify_export(folder, demands, show), as_json=as_json)
    elif config_file is not None:
        _tell(run(_verify(config_file, demands, number, quiet=as_json)), as_json=as_json)


async def _verify(config_file: Path, demands: Demands, number: int | None, *, quiet: bool) -> Report:
    async with opened(config_file) as database:
        if not demands.keys:
            click.echo(_WARNING, err=True)
            demands = Demands(await keys_of_database(database), demands.anchors, demands.newer_than)
        with progress_bar("verifying", quiet=quiet) as show:
            return await verify_history(database, demands, show, number=number)


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_document(report)))
    else:
        for finding in report.findings:
            click.echo(str(finding))
        count, bad = report.events, len(report.findings)
        click.echo(
            f"{count} events in {report.chains} chains: {f'{bad} found wrong' if bad else 'whole and unchanged'}."
        )
        at = f", the newest of {report.at:%Y-%m-%d %H:%M:%S} UTC" if report.at else ""
        begins = f" The log begins at leaf {report.begins}." if report.begins else ""
        click.echo(f"{report.checkpoints} checkpoints{at}; {report.uncovered} events are in none yet.{begins}")
        click.echo(f"Held against {report.anchors} checkpoints of anchors.")
    if report.findings:
        raise click.exceptions.Exit(FAILED)


def _document(report: Report) -> dict[str, object]:
    return {
        "events": report.events,
        "chains": report.chains,
        "not_covered": report.uncovered,
        "checkpoints": report.checkpoints,
        "anchors": report.anchors,
        "begins": report.begins,
        "size": report.size,
        "newest_checkpoint": report.at.isoformat() if report.at else None,
        "findings": _findings(report.findings),
    }


def _findings(findings: Sequence[Finding]) -> list[dict[str, object]]:
    return [
        {"kind": str(each.kind), "chain": each.chain, "seq": each.seq, "index": each.index, "problem": each.problem}
        for each in findings
    ]


def _tell_proof(file: Path, keys: Sequence[str], *, as_json: bool) -> None:
    proof, findings = verify_proof(file, keys)
    if as_json:
        event = json.loads(proof.body) if proof and not findings else None
        click.echo(json.dumps({"event": event, "findings": _findings(findings)}))
    elif proof and not findings:
        at = f" of {proof.checkpoint.at:%Y-%m-%d %H:%M:%S} UTC" if proof.checkpoint.at else ""
        click.echo(
            f"{proof.body.decode('ascii', 'backslashreplace')}\nis leaf {proof.index}, signed in a checkpoint{at}."
        )
    for finding in findings:
        click.echo(str(finding))
    if findings:
        raise click.exceptions.Exit(FAILED)
