"""panless app: applications and their keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

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
from proxy.config import load
from vault.upkeep import apps as applications
from vault.upkeep.apps import Application
from vault.upkeep.credentials import Credential

_ADVICE = (
    "Keep it now: only its digest is stored. The application sends it as Panless-Key, or where the",
    "gateway's SDK puts the gateway's key.",
)


@click.group()
def app() -> None:
    """Applications that may use outbound routes, and their keys."""


@app.command(short_help="Give an application a key and print it.")
@click.argument("name")
@config_option
@click.option("--tenant", default="default", show_default=True, help="Whose tokens the application may use.")
@expires_option
@certificate_option
@json_option
def add(
    name: str,
    config_file: Path,
    tenant: str,
    expires: timedelta | None,
    certificate_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Give application NAME a key and print it: once, it cannot be shown again.

    An application that exists gets a further key. Name it in a route's `apps`, too. With --certificate it is known by
    that client certificate, on listeners whose `tls` names a `client_ca`.
    """
    check_name(name)
    certificate = certificate_in(certificate_file)
    key = run(_add(config_file, name, tenant, expires, certificate))
    config = load(config_file)
    named = [*(route.apps for route in config.outbound), *(route.apps or () for route in config.inbound)]
    if not any(name in apps for apps in named):
        click.echo(f"No outbound route of {config_file} names {name} in its `apps` yet.", err=True)
    tell_new({"app": name}, key, certificate, as_json=as_json, advice=_ADVICE)


async def _add(
    config_file: Path, name: str, tenant: str, expires: timedelta | None, certificate: Credential | None
) -> str:
    async with opened(config_file) as database:
        return await applications.add_app(database, name, tenant, lifetime=expires, certificate=certificate)


@app.command("list")
@config_option
@json_option
def list_(config_file: Path, as_json: bool) -> None:
    """Show all applications and every key: since when, until when, when it was last used."""
    found = run(_list(config_file))
    if as_json:
        click.echo(json.dumps([_document(each) for each in found], indent=2))
        return
    show(("application", "tenant"), (((each.row.name, each.row.tenant), each.keys) for each in found))


def _document(each: Application) -> dict[str, Any]:
    keys = documents(each.keys)
    states = [key["state"] for key in keys]
    return {
        "app": each.row.name,
        "tenant": each.row.tenant,
        "created_at": each.row.created_at.isoformat(),
        "active_keys": states.count("active"),
        "revoked_keys": states.count("revoked"),
        "keys": keys,
    }


async def _list(config_file: Path) -> Sequence[Application]:
    async with opened(config_file) as database:
        return await applications.apps(database)


@app.command(short_help="Give an application a new key; the old ones end later.")
@click.argument("name")
@config_option
@grace_option
@expires_option
@json_option
def rotate(name: str, config_file: Path, grace: timedelta, expires: timedelta | None, as_json: bool) -> None:
    """Give application NAME a new key and print it; its old keys work on for the grace, then end.

    Certificates stay as they are: register the next one with `panless app add NAME --certificate FILE`.
    """
    key = run(_rotate(config_file, name, grace, expires))
    tell_new({"app": name}, key, as_json=as_json, advice=_ADVICE)


async def _rotate(config_file: Path, name: str, grace: timedelta, expires: timedelta | None) -> str:
    async with opened(config_file) as database:
        return await applications.rotate_app(database, name, grace, expires)


@app.command(short_help="Revoke keys of an application.")
@click.argument("name")
@config_option
@key_option
def revoke(name: str, config_file: Path, key: str | None) -> None:
    """Revoke all keys and certificates of application NAME, or one. Requests with them are refused from then on."""
    revoked = run(_revoke(config_file, name, key))
    tell_revoked(name, revoked)


async def _revoke(config_file: Path, name: str, key: str | None) -> int:
    async with opened(config_file) as database:
        return await applications.revoke_app(database, name, key)
