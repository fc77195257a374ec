"""panless token: what is known of a token, and its erasure. No command here shows plaintext."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from proxy.cli.audit import events_table
from proxy.cli.key_work import on_keys
from proxy.cli.running import config_option, json_option, opened, run
from vault.tokens import type_id
from vault.upkeep import erasure
from vault.upkeep.erasure import EndedToken, Erasure, TokenRow, Work
from vault.upkeep.history import Filter, history

HISTORY = 20

tenant_option = click.option("--tenant", default="default", show_default=True, help="Whose tokens these are.")


@click.group()
def token() -> None:
    """Tokens: what is known of one, and erasing them. Plaintext is never shown."""


@token.command(short_help="Show what is known of a token, and what was done with it.")
@click.argument("text", metavar="TOKEN")
@config_option
@tenant_option
@json_option
def show(text: str, config_file: Path, tenant: str, as_json: bool) -> None:
    """Show TOKEN (tok_..., or the digits of a card-shaped one): its kind, age, limits, uses and its last events."""
    found = looked_up(config_file, text, tenant)
    wanted = Filter(token=type_id("tok", found.token), limit=HISTORY)
    events = run(_history(config_file, wanted))
    if as_json:
        click.echo(json.dumps(_document(found) | {"events": events}, indent=2))
        return
    table = Table(show_header=False)
    for name, fact in _document(found).items():
        if fact is not None:
            table.add_row(name.replace("_", " "), ", ".join(fact) if isinstance(fact, list) else str(fact))
    console = Console()
    console.print(table)
    console.print(events_table(events) if events else "There are no events of it.")


def looked_up(config_file: Path, text: str, tenant: str) -> TokenRow | EndedToken:
    """Return what is known of a token; only a card-shaped one takes a key to be found. Raises TokensNotFound."""
    found = run(_known(config_file, text))
    return found or on_keys(config_file, "look", partial(erasure.show, text=text, tenant=tenant), quiet=True)


async def _known(config_file: Path, text: str) -> TokenRow | EndedToken | None:
    async with opened(config_file) as database:
        return await erasure.known(database, text)


async def _history(config_file: Path, wanted: Filter) -> list[dict[str, object]]:
    async with opened(config_file) as database:
        return await history(database, wanted)


def _document(found: TokenRow | EndedToken) -> dict[str, object]:
    name = type_id("tok", found.token)
    if isinstance(found, EndedToken):
        return {"token": name, "tenant": found.tenant, "state": found.reason, "at": found.at.isoformat()}
    return {
        "token": name,
        "card_shaped": found.shown,
        "tenant": found.tenant,
        "state": "stored",
        "kind": found.kind,
        "brand": found.brand,
        "last4": found.last4,
        "created_at": found.created_at.isoformat(),
        "expires_at": found.expires_at.isoformat() if found.expires_at else None,
        "max_uses": found.max_uses,
        "uses": found.uses if found.max_uses else None,
        "routes": list(found.routes) if found.routes else None,
        "gateways": list(found.gateways) if found.gateways else None,
        "customers": list(found.customers) or None,
        "data_key": str(found.data_key),
    }


@token.command(short_help="Erase tokens for good.")
@click.argument("tokens", metavar="[TOKEN]...", nargs=-1)
@config_option
@tenant_option
@click.option(
    "--customer", "customers", multiple=True, help="All tokens of this customer, as the application named it."
)
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of them: in each line a token, or `customer NAME`.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the receipt to this file.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be erased, and do nothing.")
def erase(
    tokens: tuple[str, ...],
    config_file: Path,
    *,
    tenant: str,
    customers: tuple[str, ...],
    file: Path | None,
    out: Path | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Erase tokens: their records, fingerprints and verification codes are deleted, and later uses answer 410.

    A token that several customers share stays until the last of them is erased. What backups hold of it can be opened
    for as long as its data key is there: see docs/tokens.md. The receipt is a signed note; `panless keys public` prints
    what verifies it.
    """
    if out is not None and out.exists():
        raise click.BadParameter("it exists already, and no receipt is overwritten", param_hint="--out")
    named, owners = _listed(file)
    named, owners = [*tokens, *named], [*customers, *owners]
    if not named and not owners:
        raise click.UsageError("Give tokens, --customer or --file.")
    wanted = on_keys(
        config_file, "look", partial(erasure.wanted, tokens=named, customers=owners, tenant=tenant), quiet=True
    )
    click.echo(_told(wanted), err=True)
    if dry_run:
        return
    if not yes:
        click.confirm("Erase them, for good?", abort=True, err=True)
    receipt = on_keys(config_file, "erase", partial(_erase, wanted=wanted, tenant=tenant))
    if out is None:
        click.echo(receipt, nl=False)
    else:
        out.write_text(receipt)
        click.echo(f"The receipt is in {out}.")


async def _erase(work: Work, wanted: Erasure, tenant: str) -> str:
    return await erasure.erase(work, wanted, tenant)


def _told(wanted: Erasure) -> str:
    kept = f" {len(wanted.shared)} that other customers have, too, stay." if wanted.shared else ""
    return f"{len(wanted.tokens)} {'token' if len(wanted.tokens) == 1 else 'tokens'} to erase.{kept}"


def _listed(file: Path | None) -> tuple[Sequence[str], Sequence[str]]:
    if file is None:
        return [], []
    lines = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    customers = [line.split(None, 1)[1] for line in lines if line.startswith("customer ")]
    return [line for line in lines if not line.startswith("customer ")], customers
