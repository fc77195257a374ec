"""panless keys: what there is, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from proxy.cli.ceremony import ceremony
from proxy.cli.destruction import compromise, destroy
from proxy.cli.rotation import reseal, rotate
from proxy.cli.running import config_option, json_option, opened, run
from proxy.config import load
from proxy.fetching import fetched_settings
from vault.key_settings import FileSettings
from vault.upkeep.keychain.status import Keychain, KeyStatus, look
from vault.upkeep.startup import create_kek

SHOWN_OLD = 5
ID_WIDTH = 40


@click.group()
def keys() -> None:
    """Keys: the KEK that wraps all others, data keys, fingerprint keys, the signing key, the authority.

    `panless keys status` shows them all, and what to do next.
    """


@keys.command()
@config_option
def init(config_file: Path) -> None:
    """Make a new KEK file for provider `file`, readable by its owner alone. An existing one is never replaced.

    Keep a copy apart from the database: without the KEK nothing in the vault can be opened again.
    """
    file = run(fetched_settings(load(config_file))).providers[0]
    if not isinstance(file, FileSettings):
        raise click.UsageError("This is for provider `file`; docs/keys.md says how the others get their KEK.")
    create_kek(file)
    click.echo(f"A new KEK is in {file.path}. Keep a copy of it apart from the database.")


@keys.command()
@config_option
@click.option("--all", "everything", is_flag=True, help="Show every key, also those that are destroyed.")
@json_option
def status(config_file: Path, everything: bool, as_json: bool) -> None:
    """Show every key: its state, age, uses, what it protects, and what to do next.

    States are those of NIST SP 800-57: pre-active keys wait, active ones protect, deactivated ones only open what they
    protect, compromised and destroyed ones do nothing.
    """
    found = run(_look(config_file))
    if as_json:
        click.echo(json.dumps(_document(found), indent=2))
        return
    console = Console()
    console.print(_table(_shown(found.keys, everything)))
    hidden = len(found.keys) - len(_shown(found.keys, everything))
    if hidden:
        console.print(f"{hidden} older keys are not shown: panless keys status --all.")
    console.print(f"Running processes: {', '.join(found.processes) or 'none'}")
    todo = [key for key in found.keys if not key.next_step.startswith("Nothing")]
    console.print("To do:" if todo else "Nothing to do.")
    for key in todo[:SHOWN_OLD]:
        console.print(f"  {key.what} {key.id}: {key.next_step}", soft_wrap=True)


@keys.command(short_help="Print the keys that receipts are verified with.")
@config_option
@json_option
def public(config_file: Path, as_json: bool) -> None:
    """Print the verifier keys of all signing keys (C2SP signed-note), newest last.

    Keep them where whoever verifies trusts them: a verifier key that comes from the database proves nothing.
    """
    found = run(_look(config_file)).verifier_keys
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(found.values()))


async def _look(config_file: Path) -> Keychain:
    async with opened(config_file) as database:
        return await look(database)


def _shown(found: Sequence[KeyStatus], everything: bool) -> list[KeyStatus]:
    """Leave out destroyed keys, and all but the newest of the old data keys that need nothing."""
    if everything:
        return list(found)
    old = [key for key in found if key.what == "dek" and key.state == "deactivated"]
    boring = {key.id for key in old[:-SHOWN_OLD] if key.next_step.startswith("Nothing")}
    return [key for key in found if key.state != "destroyed" and key.id not in boring]


def _table(found: Sequence[KeyStatus]) -> Table:
    table = Table(show_lines=True)
    table.add_column("key", overflow="fold", width=ID_WIDTH)
    table.add_column("what to do next", overflow="fold")
    for key in found:
        tenant = f" of tenant {key.tenant}" if key.tenant else ""
        facts = [key.state, f"{_age(key.age)} old"]
        facts += [f"{key.protects:,} {key.unit}"] if key.unit else []
        facts += [] if key.uses is None else [f"at most {key.uses:,} uses"]
        table.add_row(f"[bold]{key.what}[/]{tenant}\n{key.id}\n{', '.join(facts)}", key.next_step)
    return table


def _age(age: timedelta) -> str:
    if age.days:
        return f"{age.days} days"
    hours, seconds = divmod(age.seconds, 3600)
    return f"{hours} hours" if hours else f"{seconds // 60} minutes"


def _document(found: Keychain) -> dict[str, object]:
    listed = [
        {
            "key": key.what,
            "id": key.id,
            "tenant": key.tenant or None,
            "state": key.state,
            "created_at": key.created_at.isoformat(),
            "age_seconds": int(key.age.total_seconds()),
            "uses": key.uses,
            "protects": key.protects,
            "unit": key.unit or None,
            "next_step": key.next_step,
        }
        for key in found.keys
    ]
    return {"keys": listed, "processes": found.processes}


for command in (rotate, reseal, compromise, destroy, ceremony):
    keys.add_command(command)
