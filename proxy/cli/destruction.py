"""panless keys compromise, destroy: keys that must not be used any more."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from proxy.cli.key_work import on_keys
from proxy.cli.running import config_option
from vault.upkeep.keychain import compromise as compromising
from vault.upkeep.keychain import destruction


@click.command(short_help="A key may be known to others: replace it at once.")
@config_option
@click.argument("key")
def compromise(config_file: Path, key: str) -> None:
    """Declare KEY (an id from `panless keys status`) compromised.

    It is used no more, and what it protects is put under another key at once. Records under a compromised data key are
    refused until they are sealed again; to go on revealing them all the while, run `panless keys rotate dek` and
    `panless keys reseal` first. A compromised KEK takes every key that it wrapped with it: all of them are replaced.
    """
    on_keys(config_file, "compromise", partial(compromising.compromise, key_id=key))
    click.echo("Done. `panless keys status` shows what is left to do.")


@click.command(short_help="Destroy a key for good, or all keys of a tenant.")
@config_option
@click.argument("key", required=False)
@click.option("--tenant", help="Destroy all keys of this tenant: nothing of it can be opened again.")
@click.option("--gone", is_flag=True, help="The KEK was destroyed where its provider is; only note it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the receipt to this file.")
def destroy(  # noqa: PLR0917  # click passes them by name
    config_file: Path, key: str | None, tenant: str | None, gone: bool, yes: bool, out: Path | None
) -> None:
    """Destroy KEY, which protects nothing any more; or, with --tenant, every key of a tenant.

    What a tenant's keys protect can then never be opened again. Where the tenant has a KEK of its own (`tenant_keks`),
    that holds for backups too. The receipt is a signed note: `panless keys public` prints what verifies it.
    """
    if (key is None) == (tenant is None):
        raise click.UsageError("Give either a key's id or --tenant.")
    if key is not None:
        on_keys(config_file, "destroy", partial(destruction.destroy, key_id=key, gone=gone))
        click.echo("Done.")
        return
    if not yes:
        click.confirm(f"Every token of tenant {tenant} will be useless, for good. Destroy its keys?", abort=True)
    receipt = on_keys(config_file, "destroy", partial(destruction.destroy_tenant, tenant=tenant or ""))
    if out is None:
        click.echo(receipt, nl=False)
    else:
        out.write_text(receipt)
        click.echo(f"The receipt is in {out}.")
