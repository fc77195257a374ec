"""panless keys rotate, reseal: other keys take over while Panless runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import click

from proxy.cli.ca import rotate as rotate_authority
from proxy.cli.key_work import on_keys
from proxy.cli.running import config_option, dry_run_option, opened, run
from vault.upkeep.keychain.fingerprints import rotate_fingerprint_keys
from vault.upkeep.keychain.kek import rotate_kek
from vault.upkeep.keychain.preview import Rotation, preview
from vault.upkeep.keychain.seal import reseal as reseal_old
from vault.upkeep.keychain.seal import rotate_data_keys
from vault.upkeep.keychain.signing import rotate_signing_key
from vault.upkeep.keychain.status import look
from vault.upkeep.keychain.work import Work

tenant_option = click.option("--tenant", help="Only the keys of this tenant.")


@click.group()
def rotate() -> None:
    """Let other keys take over, while Panless runs and serves.

    Each of these can be stopped or killed at any point: given again, it goes on from where it was.
    """


@rotate.command(short_help="Another KEK wraps all keys.")
@config_option
@click.option("--to", metavar="PROVIDER", help="A provider of [keys] or [[keys.also]]; left out: the one of [keys].")
@tenant_option
@dry_run_option
def kek(config_file: Path, to: str | None, tenant: str | None, dry_run: bool) -> None:
    """Make a new KEK, and let it wrap every key of the vault. Records stay as they are.

    \b
    To move to another provider:
    1. add it to the configuration as [[keys.also]], and start every Panless again
    2. panless keys rotate kek --to PROVIDER
    3. make it the one in [keys]; leave the old one out once its KEK is destroyed
    """
    _run("kek", config_file, tenant, dry_run, partial(rotate_kek, to=to, tenant=tenant))


@rotate.command(short_help="Other data keys seal from now on.")
@config_option
@tenant_option
@dry_run_option
def dek(config_file: Path, tenant: str | None, dry_run: bool) -> None:
    """Let new data keys seal from now on. They are replaced after 24 hours by themselves, too.

    Records stay under the keys that sealed them until `panless keys reseal`.
    """
    _run("dek", config_file, tenant, dry_run, partial(rotate_data_keys, tenant=tenant))


@rotate.command(short_help="Cards are found by another key.")
@config_option
@tenant_option
@dry_run_option
def fingerprint(config_file: Path, tenant: str | None, dry_run: bool) -> None:
    """Make all fingerprints anew with another key, then drop the old ones and destroy their key.

    The same card has the same token all the while, and afterwards.
    """
    _run("fingerprint", config_file, tenant, dry_run, partial(rotate_fingerprint_keys, tenant=tenant))


@rotate.command(short_help="Another key signs receipts.")
@config_option
@dry_run_option
def signing(config_file: Path, dry_run: bool) -> None:
    """Let another key sign from now on, and destroy the private half of the old one.

    What was signed is verified with the old public key as before: keep what `panless keys public` prints.
    """
    _run("signing", config_file, None, dry_run, rotate_signing_key)


rotate.add_command(rotate_authority, "ca")


@click.command(short_help="Seal old records again under active keys.")
@config_option
@tenant_option
@dry_run_option
def reseal(config_file: Path, tenant: str | None, dry_run: bool) -> None:
    """Seal every record again that is under a deactivated or compromised key."""
    _run("reseal", config_file, tenant, dry_run, partial(reseal_old, tenant=tenant))


def _run(
    rotation: Rotation,
    config_file: Path,
    tenant: str | None,
    dry_run: bool,
    job: Callable[[Work], Awaitable[object]],
) -> None:
    if dry_run:
        click.echo("\n".join(run(_preview(rotation, config_file, tenant))))
        return
    on_keys(config_file, rotation, job)
    click.echo("Done. `panless keys status` shows what is left to do.")


async def _preview(rotation: Rotation, config_file: Path, tenant: str | None) -> list[str]:
    async with opened(config_file) as database:
        return preview(rotation, (await look(database)).keys, tenant)
