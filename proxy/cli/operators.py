"""panless operator: people of the admin side, their roles and their keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from proxy.cli.credentials import (
    certificate_in,
    certificate_option,
    check_name,
    documents,
    expires_option,
    grace_option,
    key_option,
    show,
    tell_new,
    tell_revoked,
)
from proxy.cli.running import config_option, json_option, opened, run
from vault.upkeep import operators as people
from vault.upkeep.credentials import Credential
from vault.upkeep.operators import KnownOperator, OperatorRole

_ADVICE = ("Hand it over now: only its digest is stored.",)


@click.group()
def operator() -> None:
    """People of the admin side: operators, auditors and approvers, and their keys."""


@operator.command(short_help="Give an operator a key and print it.")
@click.argument("name")
@config_option
@click.option(
    "--role", required=True, type=click.Choice([role.value for role in OperatorRole]), help="What they may do."
)
@expires_option
@certificate_option
@json_option
def add(
    name: str,
    config_file: Path,
    role: str,
    expires: timedelta | None,
    certificate_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Give operator NAME a key and print it: once, it cannot be shown again.

    \b
    operator  asks to see a value (panless reveal)
    auditor   reads the audit log on the admin listener
    approver  agrees to what another one asked for
    """
    check_name(name)
    certificate = certificate_in(certificate_file)
    key = run(_add(config_file, name, OperatorRole(role), expires, certificate))
    tell_new({"operator": name, "role": role}, key, certificate, as_json=as_json, advice=_ADVICE)


async def _add(
    config_file: Path, name: str, role: OperatorRole, expires: timedelta | None, certificate: Credential | None
) -> str:
    async with opened(config_file) as database:
        return await people.add_operator(database, name, role, lifetime=expires, certificate=certificate)


@operator.command("list")
@config_option
@json_option
def list_(config_file: Path, as_json: bool) -> None:
    """Show all operators and every key: since when, until when, when it was last used."""
    found = run(_list(config_file))
    if as_json:
        shown = [{"operator": each.row.name, "role": each.row.role, "keys": documents(each.keys)} for each in found]
        click.echo(json.dumps(shown, indent=2))
        return
    show(("operator", "role"), (((each.row.name, each.row.role), each.keys) for each in found))


async def _list(config_file: Path) -> Sequence[KnownOperator]:
    async with opened(config_file) as database:
        return await people.operators(database)


@operator.command(short_help="Give an operator a new key; the old ones end later.")
@click.argument("name")
@config_option
@grace_option
@expires_option
@json_option
def rotate(name: str, config_file: Path, grace: timedelta, expires: timedelta | None, as_json: bool) -> None:
    """Give operator NAME a new key and print it; their old keys work on for the grace, then end."""
    key = run(_rotate(config_file, name, grace, expires))
    tell_new({"operator": name}, key, as_json=as_json, advice=_ADVICE)


async def _rotate(config_file: Path, name: str, grace: timedelta, expires: timedelta | None) -> str:
    async with opened(config_file) as database:
        return await people.rotate_operator(database, name, grace, expires)


@operator.command(short_help="Revoke keys of an operator.")
@click.argument("name")
@config_option
@key_option
def revoke(name: str, config_file: Path, key: str | None) -> None:
    """Revoke all keys and certificates of operator NAME, or one."""
    revoked = run(_revoke(config_file, name, key))
    tell_revoked(name, revoked)


async def _revoke(config_file: Path, name: str, key: str | None) -> int:
    async with opened(config_file) as database:
        return await people.revoke_operator(database, name, key)
